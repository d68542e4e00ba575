#!/bin/bash
# Installs the health check of a service. `health@<service>.timer` runs /usr/local/libexec/health/<service> every 30 seconds.
# Three failures in a row restart the service, so that an instance repairs itself before its load balancer removes it.
# Expects HEALTH_SERVICE, and the check at /tmp/health.
set -euo pipefail
: "${HEALTH_SERVICE:?}"

install -D -m 0755 /tmp/health "/usr/local/libexec/health/${HEALTH_SERVICE}"
rm -f /tmp/health

cat > /usr/local/libexec/health/run <<'END'
#!/bin/bash
# run <service>: counts failures in a row, and restarts the service at the third.
set -uo pipefail
service=$1
count_file=/run/health-${service}
if timeout 10 "/usr/local/libexec/health/${service}"; then
  rm -f "${count_file}"
  exit 0
fi
count=$(( $(cat "${count_file}" 2>/dev/null || echo 0) + 1 ))
echo "${count}" > "${count_file}"
echo "${service} does not answer (${count} in a row)" >&2
if (( count >= 3 )); then
  rm -f "${count_file}"
  systemctl restart "${service}"
fi
exit 1
END
chmod 0755 /usr/local/libexec/health/run

cat > /etc/systemd/system/health@.service <<'END'
[Unit]
Description=Does %i answer?
ConditionPathExists=/usr/local/libexec/health/%i

[Service]
Type=oneshot
ExecCondition=/usr/bin/systemctl --quiet is-active %i
ExecStart=/usr/local/libexec/health/run %i
END

cat > /etc/systemd/system/health@.timer <<'END'
[Unit]
Description=Looks every half minute whether %i answers

[Timer]
OnBootSec=5min
OnUnitActiveSec=30s
AccuracySec=5s

[Install]
WantedBy=timers.target
END
systemctl enable "health@${HEALTH_SERVICE}.timer"

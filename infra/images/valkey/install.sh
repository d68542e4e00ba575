#!/bin/bash
# Installs Valkey from the repositories of Amazon Linux, which pin it with the release of the base image.
set -euo pipefail
: "${VALKEY_PACKAGE:?}"

dnf --assumeyes install "${VALKEY_PACKAGE}"
echo "exclude=${VALKEY_PACKAGE}" >> /etc/dnf/dnf.conf

# https://valkey.io/topics/admin/
cat > /etc/sysctl.d/50-valkey.conf <<'END'
vm.overcommit_memory = 1
net.core.somaxconn = 1024
END
cat > /etc/systemd/system/disable-huge-pages.service <<'END'
[Unit]
Description=No transparent huge pages: a fork would copy two megabytes for each byte that changes
Before=valkey.service

[Service]
Type=oneshot
ExecStart=/bin/sh -c 'echo never > /sys/kernel/mm/transparent_hugepage/enabled'

[Install]
WantedBy=multi-user.target
END
install -d -m 0755 /etc/systemd/system/valkey.service.d
cat > /etc/systemd/system/valkey.service.d/50-lockstep.conf <<'END'
[Service]
Restart=always
RestartSec=2
LimitNOFILE=65536
END

# The queue must lose no event. Valkey writes to disk every second. When memory is full, Valkey returns an error to the
# sender and evicts no event.
cat >> /etc/valkey/valkey.conf <<'END'
appendonly yes
appendfsync everysec
maxmemory-policy noeviction
END
install -m 0644 /tmp/logrotate /etc/logrotate.d/valkey
systemctl enable disable-huge-pages.service
# The component sets the address, the memory limit and the access rules, then starts the service.
systemctl disable valkey

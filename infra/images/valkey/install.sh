#!/bin/bash
# Valkey from the repositories of Amazon Linux, which pin it with the release of the base image.
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

# A queue forgets nothing: written to disk every second, and when memory is full the sender is told, not an event evicted.
cat >> /etc/valkey/valkey.conf <<'END'
appendonly yes
appendfsync everysec
maxmemory-policy noeviction
END
install -m 0644 /tmp/logrotate /etc/logrotate.d/valkey
systemctl enable disable-huge-pages.service
# Its component says where it listens, how much memory it has and who may come in, then starts it.
systemctl disable valkey

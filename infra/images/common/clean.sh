#!/bin/bash
# Runs last. Removes the data that instances launched from the image must not share.
set -euo pipefail
dnf clean all
rm -rf /var/cache/dnf /var/lib/cloud/* /tmp/* /var/tmp/*
rm -f /etc/ssh/ssh_host_* /root/.bash_history /home/*/.bash_history
# Packer installed this key for its connection.
rm -f /root/.ssh/authorized_keys /home/*/.ssh/authorized_keys
truncate --size 0 /etc/machine-id
find /var/log -type f -exec truncate --size 0 {} +
journalctl --rotate --vacuum-time=1s || true

#!/bin/bash
# Last: what one instance must not share with every other one that is launched from the image.
set -euo pipefail
dnf clean all
rm -rf /var/cache/dnf /var/lib/cloud/* /tmp/* /var/tmp/*
rm -f /etc/ssh/ssh_host_* /root/.bash_history /home/*/.bash_history
# The key that Packer came with.
rm -f /root/.ssh/authorized_keys /home/*/.ssh/authorized_keys
truncate --size 0 /etc/machine-id
find /var/log -type f -exec truncate --size 0 {} +
journalctl --rotate --vacuum-time=1s || true

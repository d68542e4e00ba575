#!/bin/bash
# Sets up the base of every image of the log stack: updates, the agents through which AWS reads the image, and logs that
# do not fill the disk. clean.sh runs last and removes the leftovers of the build.
set -euo pipefail

# The upgrade excludes the agent of Systems Manager: its package restarts the agent, and the build connects through the agent.
dnf --assumeyes --setopt=install_weak_deps=False upgrade --releasever=latest --exclude=amazon-ssm-agent
# User data may use the programs of these packages, and bash, coreutils and curl, which every Amazon Linux image has. If the
# base image already contains a package, dnf leaves it unchanged; the list guarantees its presence.
dnf --assumeyes --setopt=install_weak_deps=False install \
  amazon-cloudwatch-agent aws-cfn-bootstrap logrotate chrony \
  awscli-2 gnupg2-minimal grep gzip jq sed unzip util-linux xfsprogs

# The journal is the only log to which every service writes.
install -d -m 0755 /etc/systemd/journald.conf.d
cat > /etc/systemd/journald.conf.d/50-lockstep.conf <<'END'
[Journal]
SystemMaxUse=512M
SystemKeepFree=1G
MaxRetentionSec=14day
END

# A daily rotation is too rare for a service that writes gigabytes.
install -d -m 0755 /etc/systemd/system/logrotate.timer.d
cat > /etc/systemd/system/logrotate.timer.d/50-lockstep.conf <<'END'
[Timer]
OnCalendar=
OnCalendar=hourly
RandomizedDelaySec=5min
END
systemctl enable logrotate.timer chronyd amazon-ssm-agent

# No person logs in through SSH. Sessions use Systems Manager, with a role and a record.
systemctl disable sshd || true
systemctl mask sshd.socket || true
# sshd runs until the instance stops, because this build needs it.

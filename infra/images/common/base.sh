#!/bin/bash
# What every image of the log stack has, whatever else it holds: updates, the agents that AWS reads it with, logs that
# do not fill the disk, and nothing of the build left behind (see clean.sh, which comes last).
set -euo pipefail

# All but the agent of Systems Manager: its package restarts it, and this build is connected by it.
dnf --assumeyes --setopt=install_weak_deps=False upgrade --releasever=latest --exclude=amazon-ssm-agent
# User data may use what these packages hold, and bash, coreutils and curl, which every image of Amazon Linux has. What
# the base image has already is left as it is; naming it here makes sure of it.
dnf --assumeyes --setopt=install_weak_deps=False install \
  amazon-cloudwatch-agent aws-cfn-bootstrap logrotate chrony \
  awscli-2 grep jq sed unzip util-linux xfsprogs

# The journal is the one log that every service writes to.
install -d -m 0755 /etc/systemd/journald.conf.d
cat > /etc/systemd/journald.conf.d/50-lockstep.conf <<'END'
[Journal]
SystemMaxUse=512M
SystemKeepFree=1G
MaxRetentionSec=14day
END

# Once a day is too rarely for a service that writes gigabytes.
install -d -m 0755 /etc/systemd/system/logrotate.timer.d
cat > /etc/systemd/system/logrotate.timer.d/50-lockstep.conf <<'END'
[Timer]
OnCalendar=
OnCalendar=hourly
RandomizedDelaySec=5min
END
systemctl enable logrotate.timer chronyd amazon-ssm-agent

# Nobody logs in: sessions come through Systems Manager, with a role and a record.
systemctl disable sshd || true
systemctl mask sshd.socket || true
# It runs until the instance is stopped, since this build needs it.

#!/bin/bash
# kibana from Elastic's repository, in exactly the version that was asked for.
set -euo pipefail
: "${ELASTIC_VERSION:?}"

rpm --import https://artifacts.elastic.co/GPG-KEY-elasticsearch
cat > /etc/yum.repos.d/elastic.repo <<END
[elastic]
name=Elastic packages
baseurl=https://artifacts.elastic.co/packages/${ELASTIC_VERSION%%.*}.x/yum
gpgcheck=1
repo_gpgcheck=1
gpgkey=https://artifacts.elastic.co/GPG-KEY-elasticsearch
enabled=0
END
dnf --assumeyes --enablerepo=elastic install "kibana-${ELASTIC_VERSION}"
# An update is a new image, not something that happens at night.
echo "exclude=kibana" >> /etc/dnf/dnf.conf

install -d -m 0755 /etc/systemd/system/kibana.service.d
cat > /etc/systemd/system/kibana.service.d/50-lockstep.conf <<'END'
[Service]
Restart=always
RestartSec=5
END
install -m 0644 /tmp/logrotate /etc/logrotate.d/kibana
# Its component says which Elasticsearch it shows, then starts it.
systemctl disable kibana

#!/bin/bash
# Installs Elasticsearch and Kibana from Elastic's repository, which common/elastic.sh sets up, both in exactly the requested
# version. A node runs both.
set -euo pipefail
: "${ELASTIC_VERSION:?}"

dnf --assumeyes --enablerepo=elastic install "elasticsearch-${ELASTIC_VERSION}" "kibana-${ELASTIC_VERSION}"
# An update requires a new image. A running instance must not update the package at night.
echo "exclude=elasticsearch kibana" >> /etc/dnf/dnf.conf

# https://www.elastic.co/guide/en/elasticsearch/reference/8.19/system-config.html
cat > /etc/sysctl.d/50-elasticsearch.conf <<'END'
vm.max_map_count = 262144
vm.swappiness = 1
net.ipv4.tcp_retries2 = 5
END
install -d -m 0755 /etc/systemd/system/elasticsearch.service.d
cat > /etc/systemd/system/elasticsearch.service.d/50-lockstep.conf <<'END'
[Service]
LimitMEMLOCK=infinity
LimitNOFILE=65536
Restart=on-failure
RestartSec=10
END
install -d -m 0755 /etc/systemd/system/kibana.service.d
cat > /etc/systemd/system/kibana.service.d/50-lockstep.conf <<'END'
[Service]
Restart=always
RestartSec=5
END
/usr/share/elasticsearch/bin/elasticsearch-plugin install --batch discovery-ec2

# The package creates certificates and a password for the machine on which it is installed. Every instance gets its own
# from its component, so the image must contain none.
rm -rf /etc/elasticsearch/certs
/usr/share/elasticsearch/bin/elasticsearch-keystore list | { grep --extended-regexp '^xpack|^autoconfiguration' || true; } |
  while read -r setting; do /usr/share/elasticsearch/bin/elasticsearch-keystore remove "${setting}"; done
sed --in-place '/BEGIN SECURITY AUTO CONFIGURATION/,/END SECURITY AUTO CONFIGURATION/d' /etc/elasticsearch/elasticsearch.yml

install -m 0644 /tmp/logrotate /etc/logrotate.d/elasticsearch
# The component configures the cluster of the node, then starts both services.
systemctl disable elasticsearch kibana

#!/usr/bin/env bash
# A one-node Ceph object store on loopback, for tests: one monitor, one OSD that keeps its data in memory, one manager
# and one RADOS Gateway, all started from Debian's packages and all inside one folder.
#
#   rgw.sh start DIR PORT [--plain]   start everything; write DIR/s3.env (endpoint, keys, bucket, CA); wait until it answers
#   rgw.sh run DIR PORT [--plain]     start everything, then stop it when standard input ends: the way a test holds it
#   rgw.sh stop DIR                   stop everything (the data was in memory: it is gone)
#   rgw.sh gateway-stop DIR           stop the gateway alone: the data stays
#   rgw.sh gateway-start DIR          start the gateway again on the same port
#
# The gateway speaks TLS 1.3 only under a CA of its own (DIR/ca.pem), or plain HTTP with --plain. It is a store for
# made-up or public data: authentication between the daemons is off, and everything listens on 127.0.0.1.
set -euo pipefail

fail() { echo "rgw: $*" >&2; exit 1; }

usage() { sed -n '2,13p' "$0" >&2; exit 2; }

need_packages() {
  local tool
  for tool in ceph ceph-mon ceph-osd ceph-mgr radosgw radosgw-admin monmaptool openssl curl; do
    command -v "$tool" >/dev/null || fail "$tool is missing: apt-get install ceph-mon ceph-osd ceph-mgr radosgw openssl curl"
  done
}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

write_config() { # DIR PORT MON_PORT SCHEME
  local dir=$1 port=$2 mon_port=$3 scheme=$4 frontend
  if [ "$scheme" = https ]; then
    frontend="beast ssl_endpoint=127.0.0.1:$port ssl_certificate=$dir/server.pem ssl_private_key=$dir/server.key"
    frontend+=" ssl_options=no_sslv2:no_sslv3:no_tlsv1:no_tlsv1_1:no_tlsv1_2:single_dh_use"
  else
    frontend="beast endpoint=127.0.0.1:$port"
  fi
  cat >"$dir/ceph.conf" <<EOF
[global]
fsid = $(cat /proc/sys/kernel/random/uuid)
mon host = v2:127.0.0.1:$mon_port
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
run dir = $dir/run
admin socket = $dir/run/\$name.asok
pid file = $dir/run/\$name.pid
log file = $dir/log/\$name.log
crash dir = $dir/run
mon cluster log file = $dir/log/cluster.log
ms bind msgr1 = false
ms mon client mode = crc
ms bind ipv6 = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon warn on pool no redundancy = false
mon data avail warn = 1
mon data avail crit = 1

[mon.a]
mon data = $dir/mon

[osd.0]
osd data = $dir/osd
osd objectstore = memstore
memstore device bytes = 4294967296

[mgr.x]
mgr data = $dir/mgr
mgr disabled modules = balancer,crash,devicehealth,orchestrator,pg_autoscaler,progress,rbd_support,status,telemetry,volumes

[client.rgw]
rgw frontends = $frontend
rgw thread pool size = 64
rgw enable usage log = false
rgw crypt require ssl = false
rgw data = $dir/rgw
EOF
}

write_certificates() { # DIR
  local dir=$1
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=rgw test CA" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign \
    -keyout "$dir/ca.key" -out "$dir/ca.pem" 2>/dev/null
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=127.0.0.1" \
    -keyout "$dir/server.key" -out "$dir/server.csr" 2>/dev/null
  openssl x509 -req -in "$dir/server.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -CAcreateserial -days 30 \
    -extfile <(printf '%s\n' "subjectAltName=IP:127.0.0.1,DNS:localhost" "extendedKeyUsage=serverAuth" \
      "keyUsage=critical,digitalSignature" "basicConstraints=critical,CA:FALSE") -out "$dir/server.pem" 2>/dev/null
  chmod 600 "$dir/ca.key" "$dir/server.key"
}

ceph_() { # DIR ARGUMENT...
  local dir=$1; shift
  timeout 30 ceph --conf "$dir/ceph.conf" --connect-timeout 20 "$@"
}

# Starts a daemon in the foreground under our own pid file, detached from the terminal.
daemon() { # DIR NAME COMMAND...
  local dir=$1 name=$2; shift 2
  setsid nohup "$@" >"$dir/log/$name.out" 2>&1 </dev/null &
  echo $! >"$dir/pids/$name"
}

alive() { # DIR NAME
  local pid
  pid=$(cat "$1/pids/$2" 2>/dev/null) && kill -0 "$pid" 2>/dev/null
}

end() { # DIR NAME SIGNAL
  local dir=$1 name=$2 signal=$3 pid
  pid=$(cat "$dir/pids/$name" 2>/dev/null) || return 0
  kill "-$signal" "$pid" 2>/dev/null || true
  for _ in $(seq 100); do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  kill -9 "$pid" 2>/dev/null || true
  rm -f "$dir/pids/$name"
}

endpoint_curl() { # DIR ARGUMENT...
  local dir=$1; shift
  if [ -f "$dir/ca.pem" ]; then set -- --cacert "$dir/ca.pem" "$@"; fi
  curl --silent --show-error --max-time 5 --noproxy '*' "$@"
}

gateway_start() { # DIR
  local dir=$1 url
  url=$(cat "$dir/endpoint")
  daemon "$dir" radosgw radosgw --conf "$dir/ceph.conf" --name client.rgw --foreground
  for _ in $(seq 300); do
    if endpoint_curl "$dir" --output /dev/null "$url" 2>/dev/null; then return 0; fi
    alive "$dir" radosgw || break
    sleep 0.2
  done
  tail -n 20 "$dir"/log/radosgw.out "$dir"/log/client.rgw.log >&2 || true
  fail "the gateway did not answer on $url within 60 s"
}

start_daemons() { # DIR MON_PORT
  local dir=$1 mon_port=$2 fsid
  fsid=$(sed -n 's/^fsid = //p' "$dir/ceph.conf")
  monmaptool --create --addv a "[v2:127.0.0.1:$mon_port]" --fsid "$fsid" "$dir/monmap" >/dev/null
  ceph-mon --conf "$dir/ceph.conf" --mkfs --id a --monmap "$dir/monmap"
  daemon "$dir" mon ceph-mon --conf "$dir/ceph.conf" --id a --foreground
  for _ in $(seq 50); do ceph_ "$dir" mon stat >/dev/null 2>&1 && break; sleep 0.2; done
  ceph_ "$dir" osd new "$(cat /proc/sys/kernel/random/uuid)" 0 >/dev/null
  ceph-osd --conf "$dir/ceph.conf" --mkfs --id 0 --osd-uuid "$(ceph_ "$dir" osd dump | sed -n 's/^osd\.0 .* //p')" \
    >"$dir/log/osd-mkfs.out" 2>&1
  daemon "$dir" osd ceph-osd --conf "$dir/ceph.conf" --id 0 --foreground
  daemon "$dir" mgr ceph-mgr --conf "$dir/ceph.conf" --id x --foreground
  for _ in $(seq 150); do
    if ceph_ "$dir" osd stat 2>/dev/null | grep -q '1 up'; then return 0; fi
    sleep 0.2
  done
  fail "the OSD did not come up within 30 s: see $dir/log"
}

create_user_and_bucket() { # DIR
  local dir=$1 access secret
  access=$(openssl rand -hex 10 | tr '[:lower:]' '[:upper:]')
  secret=$(openssl rand -hex 20)
  radosgw-admin --conf "$dir/ceph.conf" --name client.rgw user create --uid parcours --display-name parcours \
    --access-key "$access" --secret-key "$secret" >"$dir/log/user.out" 2>&1
  {
    echo "AWS_ENDPOINT_URL=$(cat "$dir/endpoint")"
    echo "AWS_ACCESS_KEY_ID=$access"
    echo "AWS_SECRET_ACCESS_KEY=$secret"
    echo "AWS_REGION=us-east-1"
    echo "PARCOURS_TEST_BUCKET=parcours"
    if [ -f "$dir/ca.pem" ]; then echo "PARCOURS_TEST_S3_CA=$dir/ca.pem"; fi
  } >"$dir/s3.env"
  chmod 600 "$dir/s3.env"
  # Signing is curl's own. The pools of a new store come up during the first request, so it is tried again for a while.
  for _ in $(seq 60); do
    if endpoint_curl "$dir" --fail --output /dev/null --request PUT --aws-sigv4 "aws:amz:us-east-1:s3" \
      --header "x-amz-content-sha256: UNSIGNED-PAYLOAD" --user "$access:$secret" "$(cat "$dir/endpoint")/parcours" 2>"$dir/log/bucket.err"; then return 0; fi
    sleep 0.5
  done
  cat "$dir/log/bucket.err" >&2
  fail "the bucket could not be created"
}

start() { # DIR PORT [--plain]
  local dir=$1 port=$2 scheme=https mon_port
  if [ "${3:-}" = --plain ]; then scheme=http; fi
  need_packages
  [ ! -e "$dir/ceph.conf" ] || fail "$dir already holds a store: stop it and remove the folder"
  mkdir -p "$dir"
  dir=$(realpath "$dir")
  mkdir -p "$dir"/{run,log,pids,mon,osd,mgr,rgw}
  if [ "$port" = 0 ]; then port=$(free_port); fi
  mon_port=$(free_port)
  echo "$scheme://127.0.0.1:$port" >"$dir/endpoint"
  if [ "$scheme" = https ]; then write_certificates "$dir"; fi
  write_config "$dir" "$port" "$mon_port" "$scheme"
  STORE=$dir
  trap 'stop "$STORE"' EXIT
  start_daemons "$dir" "$mon_port"
  gateway_start "$dir"
  create_user_and_bucket "$dir"
  trap - EXIT
  echo "rgw: ready on $(cat "$dir/endpoint"); credentials in $dir/s3.env"
}

stop() { # DIR
  local dir name
  dir=$(realpath "$1")
  # What is in memory is not worth a clean end.
  for name in radosgw mgr osd mon; do end "$dir" "$name" KILL; done
}

run() { # DIR PORT [--plain]
  start "$@"
  STORE=$1
  trap 'stop "$STORE"' EXIT
  trap 'exit 143' TERM INT HUP
  cat >/dev/null
}

case "${1:-}" in
  run) [ $# -ge 3 ] || usage; shift; run "$@" ;;
  start) [ $# -ge 3 ] || usage; start "$2" "$3" "${4:-}" ;;
  stop) [ $# -eq 2 ] || usage; stop "$2" ;;
  gateway-stop) [ $# -eq 2 ] || usage; end "$(realpath "$2")" radosgw KILL ;;
  gateway-start) [ $# -eq 2 ] || usage; gateway_start "$(realpath "$2")" ;;
  *) usage ;;
esac

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Runs a command on a machine that has a network of its own with two further
# hosts on it, host1 and host2: namespaces of this machine, gone with the
# command. Each host has its own addresses, name and processes, so no memory is
# shared. For mpirun this script is also the remote shell:
#   two-hosts.sh COMMAND...            mpirun --mca plm_rsh_agent "two-hosts.sh --on"
#   two-hosts.sh --on HOST COMMAND...  runs a command on one of the hosts
#   two-hosts.sh --cut HOST            takes the host off the network
# Exit status 77: this machine allows no namespaces.
set -eu

case ${1:-} in
  --on)
    host=$2
    shift 2
    exec nsenter --net="/run/netns/$host" unshare --uts --pid --fork --kill-child --mount-proc \
      sh -c "hostname $host; $*"
    ;;
  --cut)
    exec ip link set "to-$2" down
    ;;
  --inside)
    shift
    mount -t tmpfs tmpfs /run
    ip link set lo up
    ip link add network type bridge
    ip address add 10.77.0.254/24 dev network
    ip link set network up
    for number in 1 2; do
      host=host$number
      ip netns add $host
      ip link add "to-$host" type veth peer name eth0 netns $host
      ip link set "to-$host" master network up
      nsenter --net=/run/netns/$host sh -c "ip link set lo up; ip link set eth0 up
        ip address add 10.77.0.$number/24 dev eth0; ip route add default via 10.77.0.254"
    done
    exec "$@"
    ;;
esac

isolate=(unshare --map-root-user --net --mount --uts --pid --fork --kill-child --mount-proc)
"${isolate[@]}" "$0" --inside true >/dev/null 2>&1 || exit 77
exec "${isolate[@]}" "$0" --inside "$@"

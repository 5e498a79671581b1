# Two "machines" on one, to be sourced: network namespaces, each with a host name of its own, joined by a link with little bandwidth and a
# delay. Needs to be root. Where namespaces may not be made, or tools are missing, it says so and ends with 77 (skipped).
#   RATE, DELAY: of the link, as tc takes them; DELAY one way, where this kernel can delay
#   $work: a folder that is removed at the end; $a, $b: the namespaces; v0, v1: their ends of the link
#   on_both PROGRAM...: mpirun with one process on each
skip() {
  echo "skipped: $*"
  exit 77
}
for tool in ip tc mpirun unshare; do command -v "$tool" >/dev/null || skip "there is no $tool"; done
# Names of their own, so that two of these tests may run at the same time.
a=dura-a-$$ b=dura-b-$$
work=$(mktemp -d)
clean() {
  ip netns del "$a" 2>/dev/null || true
  ip netns del "$b" 2>/dev/null || true
  rm -rf "$work"
}
trap clean EXIT
ip netns add "$a" 2>"$work/why" || skip "no network namespace: $(cat "$work/why")"
ip netns add "$b"
ip -n "$a" link add v0 type veth peer name v1 netns "$b" 2>"$work/why" || skip "no veth: $(cat "$work/why")"
ip -n "$a" addr add 10.87.0.1/24 dev v0
ip -n "$b" addr add 10.87.0.2/24 dev v1
ip -n "$a" link set lo up
ip -n "$b" link set lo up
ip -n "$a" link set v0 up
ip -n "$b" link set v1 up
limit() {
  ip netns exec "$1" tc qdisc add dev "$2" root netem rate "${RATE:-200mbit}" delay "${DELAY:-1ms}" limit 20000 2>/dev/null ||
    ip netns exec "$1" tc qdisc add dev "$2" root tbf rate "${RATE:-200mbit}" burst 64kb latency 500ms 2>"$work/why" ||
    skip "no limited link: $(cat "$work/why")"
}
limit "$a" v0
limit "$b" v1
ip netns exec "$a" tc qdisc show dev v0

# What mpirun starts on the other machine: in its namespace, under its name.
cat >"$work/remote" <<TEXT
#!/usr/bin/env bash
shift
exec ip netns exec $b unshare --uts bash -c 'hostname machine-b; eval "\$*"' remote "\$@"
TEXT
chmod +x "$work/remote"
export OMPI_MCA_plm_rsh_agent=$work/remote
export OMPI_MCA_btl=tcp,self OMPI_MCA_pml=ob1 OMPI_MCA_btl_tcp_if_include=10.87.0.0/24 OMPI_MCA_oob_tcp_if_include=10.87.0.0/24
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 TMPDIR=$work

on_both() { ip netns exec "$a" unshare --uts bash -c 'hostname machine-a; "$@"' local mpirun --oversubscribe --host 10.87.0.1:1,10.87.0.2:1 -np 2 "$@"; }


#!/usr/bin/env bash
# Two "machines" on one: network namespaces, each with a host name of its own, joined by a link with little bandwidth and a delay. One run of
# dura-train over both has the bytes of one process alone, also where gradients travel while backward goes on; a machine that is gone is
# named. Where this user may not make namespaces, or tools are missing, it says so and ends with 77 (skipped).
# usage: two_machines_test.sh FOLDER_OF_THE_PROGRAMS
set -euo pipefail
programs=$(cd "$1" && pwd)
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
# 200 Mbit/s, and 2 ms there and back where this kernel can delay.
limit() {
  ip netns exec "$1" tc qdisc add dev "$2" root netem rate 200mbit delay 1ms limit 20000 2>/dev/null ||
    ip netns exec "$1" tc qdisc add dev "$2" root tbf rate 200mbit burst 64kb latency 500ms 2>"$work/why" ||
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

"$programs/dura-phantom" --out "$work/data" --patients 20 --slices 2 --size 64 --seed 5 >/dev/null
train=("$programs/dura-train" --data "$work/data" --depth 18 --size 32 --batch 8 --lanes 4 --phase1-epochs 1 --augment light --threads 1 --device cpu)
CUDA_VISIBLE_DEVICES='' "${train[@]}" --phase2-epochs 1 --out "$work/alone"
on_both "$programs/dura-inspect" --version >/dev/null || skip "mpirun does not reach the other namespace"
for bucket in 0 1024; do
  on_both "${train[@]}" --phase2-epochs 1 --comm-bucket "$bucket" --out "$work/both$bucket"
  for file in model.safetensors last.safetensors best_phase2.safetensors; do
    cmp "$work/both$bucket/$file" "$work/alone/$file"
  done
done
sent=$(ip -n "$a" -s -s link show v0 | awk '/TX:/ { getline; print $1 }')
echo "sent by the first machine: $sent bytes"
((sent > 100000000))  # the runs went over the link

# The link goes down in the middle of a run.
: >"$work/cut.log"
on_both "${train[@]}" --phase2-epochs 50 --comm-timeout 20 --out "$work/cut" >"$work/cut.log" 2>&1 &
run=$!
for ((i = 0; i < 900; ++i)); do
  if grep -q "phase2 epoch 1/50  train loss" "$work/cut.log"; then break; fi
  sleep 0.2
done
ip -n "$b" link set v1 down
# mpirun itself may go on waiting for what it started beyond the link.
for ((i = 0; i < 300; ++i)); do
  if grep -q "has not answered for 20 s" "$work/cut.log"; then break; fi
  sleep 0.2
done
for ((i = 0; i < 50; ++i)); do
  kill -0 "$run" 2>/dev/null || break
  sleep 0.2
done
kill "$run" 2>/dev/null || true
wait "$run" || true
cat "$work/cut.log"
grep -q "rank 0 on machine-a: rank 1 on machine-b has not answered for 20 s" "$work/cut.log"
test -s "$work/cut/last.safetensors"
echo "two machines: the same bytes"

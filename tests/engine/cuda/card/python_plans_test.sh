#!/usr/bin/env bash
# Plans for every graph of ResNet-50 from the cuDNN that a Python environment has (the package nvidia-cudnn-cu13), which may be newer than the
# one dura was built with. DURA_CUDNN_PYTHON names a Python, or a folder in which libcudnn.so.9 lies; without it python3 is asked. Skipped (77)
# where there is none.
# usage: python_plans_test.sh PLAN_CHECK DEVICE_PROPERTIES STUB_FOLDER [TYPE [BATCH]]
set -euo pipefail
check=$1 properties=$2 stub=$3 type=${4:-f16} batch=${5:-16}
python=${DURA_CUDNN_PYTHON:-python3}

skip() {
  echo "skipped: $*"
  exit 77
}
if [[ -d $python ]]; then
  folder=$python
else
  folder=$("$python" -c 'import importlib.util as u; print(list(u.find_spec("nvidia.cudnn").submodule_search_locations)[0] + "/lib")' 2>/dev/null) ||
    skip "$python has no package nvidia.cudnn; name a Python that has one in DURA_CUDNN_PYTHON"
fi
[[ -e $folder/libcudnn.so.9 ]] || skip "no libcudnn.so.9 lies in $folder"
folder=$(cd "$folder" && pwd)

# cuDNN finds its parts beside itself, and the packages of cuBLAS and NVRTC beside its own. The toolkit's libraries must not come first.
code=0
said=$(env LD_LIBRARY_PATH="$stub" DURA_CUDA_LIBRARIES="$folder" "$check" "$properties" "$type" "$batch") || code=$?
echo "$said"
if ((code == 0)) && ! grep -qF "($folder/" <<<"$said"; then
  echo "FAILED: another cuDNN was asked than the one in $folder"
  exit 1
fi
exit "$code"

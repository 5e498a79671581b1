#!/usr/bin/env bash
# DURA_CUDA: a toolkit and cuDNN in the layout of Python's packages are found, where the unversioned names of libraries are missing; a missing
# part is named, and is an error with ON alone. Configures only.
# usage: build_switch_test.sh SOURCE_DIR CXX_COMPILER [TOOLKIT_BIN TOOLKIT_LIB TOOLKIT_INCLUDE CUDNN_INCLUDE CUDNN_LIBRARY]
set -euo pipefail
source=$1 compiler=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset VIRTUAL_ENV CUDA_PATH CUDACXX CUDNN_PATH CUDAToolkit_ROOT

# configure NAME OPTION...: what CMake says goes to $work/NAME.log.
configure() {
  local name=$1
  shift
  cmake -S "$source" -B "$work/$name" -G Ninja -DCMAKE_CXX_COMPILER="$compiler" -DDURA_TESTS=OFF "$@" >"$work/$name.log" 2>&1
}
# says NAME WORDS: the log of NAME has these words.
says() {
  # CMake breaks the lines of its errors.
  grep -qF -- "$2" <<<"$(tr -s '\n ' ' ' <"$work/$1.log")" || { cat "$work/$1.log"; echo "$1: does not say: $2"; exit 1; }
}
refused() { if configure "$@"; then cat "$work/$1.log"; echo "$1: must fail"; exit 1; fi; }

configure off -DDURA_CUDA=OFF
says off "dura: without CUDA (DURA_CUDA=OFF)"
configure nothing -DDURA_CUDA=AUTO -DCUDAToolkit_ROOT="$work/nowhere"
says nothing "dura: without CUDA, missing: CUDA's toolkit, version 12 or newer"
refused must -DDURA_CUDA=ON -DCUDAToolkit_ROOT="$work/nowhere"
says must "DURA_CUDA=ON, but this is missing: CUDA's toolkit, version 12 or newer"
echo "OFF, AUTO and ON without a toolkit: ok"
(($# > 2)) || { echo "skipped: this build is without CUDA, so no layout is made of its toolkit"; exit 77; }

bin=$3 lib=$4 include=$5 cudnn_include=$6 cudnn=$7
packages=$work/environment/lib/python3.11/site-packages/nvidia
mkdir -p "$packages"/{cu13/lib,cu13/include,cudnn/lib,cudnn/include}
ln -s "$bin" "$packages/cu13/bin"
[[ ! -e $bin/../nvvm ]] || ln -s "$(realpath "$bin/../nvvm")" "$packages/cu13/nvvm"
for file in "$include"/*; do
  [[ $(basename "$file") == cudnn* ]] || ln -s "$file" "$packages/cu13/include/"
done
ln -s "$lib"/libcudart_static.a "$lib"/libcudadevrt.a "$packages/cu13/lib/"
for file in "$lib"/libcudart.so.* "$lib"/libcublasLt.so.*; do ln -s "$file" "$packages/cu13/lib/"; done

if [[ ! -e /usr/include/cudnn_graph.h && ! -e /usr/local/include/cudnn_graph.h ]]; then
  refused without_cudnn -DDURA_CUDA=ON -DCUDAToolkit_ROOT="$packages/cu13"
  says without_cudnn "cuDNN's headers, version 9 (-DDURA_CUDNN_ROOT=FOLDER)"
fi
ln -s "$cudnn_include"/cudnn*.h "$packages/cudnn/include/"
ln -s "$cudnn" "$packages/cudnn/lib/libcudnn.so.9"

# found NAME: everything comes out of the packages.
found() {
  says "$1" "dura: with CUDA"
  local name
  for name in CUDAToolkit_NVCC_EXECUTABLE CUDA_CUDART DURA_CUDNN_INCLUDE DURA_CUDNN_LIBRARY DURA_CUBLAS_LIBRARY; do
    grep -E "^$name:[A-Z]+=$packages/" "$work/$1/CMakeCache.txt" || { grep "^$name:" "$work/$1/CMakeCache.txt"; echo "$1: $name is not in the packages"; exit 1; }
  done
}
configure named -DDURA_CUDA=ON -DCUDAToolkit_ROOT="$packages/cu13" || { cat "$work/named.log"; exit 1; }
found named
VIRTUAL_ENV=$work/environment configure activated -DDURA_CUDA=ON || { cat "$work/activated.log"; exit 1; }
found activated
echo "found in the layout of Python's packages: ok"

# A toolkit without cublasLt: it is found beside cuDNN, in the package of all of CUDA and in its own.
toolkit=$work/toolkit
mkdir -p "$toolkit"/{lib,include} "$packages/cublas"
ln -s "$bin" "$toolkit/bin"
[[ ! -e $packages/cu13/nvvm ]] || ln -s "$(realpath "$packages/cu13/nvvm")" "$toolkit/nvvm"
for file in "$packages"/cu13/include/*; do
  [[ $(basename "$file") == cublas* ]] || ln -s "$(realpath "$file")" "$toolkit/include/"
done
ln -s "$lib"/libcudart_static.a "$lib"/libcudadevrt.a "$toolkit/lib/"
for file in "$lib"/libcudart.so.*; do ln -s "$file" "$toolkit/lib/"; done
# beside NAME PACKAGE: header and library of cublasLt come out of the package.
beside() {
  configure "$1" -DDURA_CUDA=ON -DCUDAToolkit_ROOT="$toolkit" -DDURA_CUDNN_ROOT="$packages/cudnn" || { cat "$work/$1.log"; exit 1; }
  local name
  for name in DURA_CUBLAS_INCLUDE DURA_CUBLAS_LIBRARY; do
    grep "^$name:" "$work/$1/CMakeCache.txt" | grep -q "nvidia/$2/" || { grep "^$name:" "$work/$1/CMakeCache.txt"; echo "$1: $name is not in $2"; exit 1; }
  done
}
if [[ $(basename "$(echo "$lib"/libcublasLt.so.*[0-9])") == *.13* ]]; then beside beside_all cu13; fi
mv "$packages/cu13" "$packages/elsewhere"
mkdir "$packages"/cublas/{lib,include}
ln -s "$include"/cublas*.h "$packages/cublas/include/"
for file in "$lib"/libcublasLt.so.*; do ln -s "$file" "$packages/cublas/lib/"; done
beside beside_alone cublas
echo "cublasLt beside cuDNN where the toolkit lacks it: ok"

#include <cstdio>

#include "data/image/image.h"
#include "models/network/summary.h"

int main() {
  const dura::Summary summary = dura::summarise({.backbone = {.depth = 18}, .classes = {"a", "b"}}, 64, 64);
  const dura::Image image(2, 3, 1);
  std::printf("%lld parameters, %lld rows\n", static_cast<long long>(summary.parameters), static_cast<long long>(image.height));
}

// What a wrong shape, type or option gets: a message that names the op, what was found and what to do, before any kernel runs.
#include "tests/support/catch.h"

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "tests/engine/op_harness.h"

using namespace dura;
using namespace dura::optest;

namespace {

Var zeros(const Shape& s, DType t = DType::f32) { return Tensor::zeros(s, t, Device::cpu); }
Tensor labels(const Shape& s) { return Tensor::zeros(s, DType::i32, Device::cpu); }
Tensor cells(const Shape& s) { return Tensor::zeros(s, DType::u8, Device::cpu); }

BatchNormArgs norm(int64_t channels, DType t = DType::f32) {
  return {.gamma = zeros({channels}, t),
          .beta = zeros({channels}, t),
          .running_mean = zeros({channels}, t).value(),
          .running_variance = zeros({channels}, t).value()};
}

struct Wrong {
  std::string op;
  std::function<void()> call;
  std::vector<std::string> says;  // parts of the message
};

const std::vector<Wrong>& wrong_calls() {
  static const std::vector<Wrong> all = {
      {"conv2d",
       [] {
         conv2d(zeros({16, 3, 224, 224}), zeros({64, 7, 7, 3}), {.stride = 2, .padding = 3});
       },
       {"conv2d", "224 channels", "expects 3", "(N,C,H,W)"}},
      {"conv2d",
       [] {
         conv2d(zeros({2, 8, 8}), zeros({4, 3, 3, 8}));
       },
       {"conv2d", "(2,8,8)", "(N,H,W,C)"}},
      {"conv2d",
       [] {
         conv2d(zeros({2, 8, 8, 3}), zeros({4, 27}));
       },
       {"conv2d", "(4,27)", "(K,R,S,C)"}},
      {"conv2d",
       [] {
         conv2d(zeros({2, 4, 4, 3}), zeros({4, 7, 7, 3}));
       },
       {"conv2d", "(4,7,7,3)", "(2,4,4,3)", "larger images"}},
      {"conv2d",
       [] {
         conv2d(zeros({2, 8, 8, 3}), zeros({4, 3, 3, 3}), {.stride = 0});
       },
       {"conv2d", "stride 0"}},
      {"conv2d",
       [] {
         conv2d(zeros({2, 8, 8, 3}), zeros({4, 3, 3, 3}, DType::f64));
       },
       {"conv2d", "f32", "f64"}},
      {"conv_bn_act",
       [] {
         conv_bn_act(zeros({1, 8, 8, 3}), zeros({4, 3, 3, 5}), {}, norm(4));
       },
       {"conv_bn_act", "3 channels", "expects 5"}},
      {"conv_bn_act",
       [] {
         conv_bn_act(zeros({1, 8, 8, 3}), zeros({4, 3, 3, 3}), {}, norm(5));
       },
       {"conv_bn_act", "gamma", "(5)", "4 channels"}},
      {"conv_bn_act",
       [] {
         conv_bn_act(zeros({1, 8, 8, 3}), zeros({4, 3, 3, 3}), {}, norm(4, DType::f64));
       },
       {"conv_bn_act", "gamma", "f64", "f32"}},
      {"conv_bn_act",
       [] {
         conv_bn_act(zeros({1, 8, 8, 3}), zeros({4, 3, 3, 3}), {}, norm(4), zeros({1, 8, 8, 4}));
       },
       {"conv_bn_act", "residual", "(1,8,8,4)", "(1,6,6,4)"}},
      {"batch_norm",
       [] {
         batch_norm(zeros({2, 3, 3, 4}), norm(3));
       },
       {"batch_norm", "(3)", "4 channels"}},
      {"batch_norm", [] { batch_norm(zeros({4}), norm(4)); }, {"batch_norm", "(4)", "(N,H,W,C)"}},
      {"add",
       [] {
         add(zeros({2, 3}), zeros({3, 2}));
       },
       {"add", "(2,3)", "(3,2)", "no broadcasting"}},
      {"add",
       [] {
         add(zeros({2, 3}), zeros({2, 3}, DType::f64));
       },
       {"add", "f32", "f64"}},
      {"max_pool2d",
       [] {
         max_pool2d(zeros({2, 8, 8}), {});
       },
       {"max_pool2d", "(2,8,8)", "(N,H,W,C)"}},
      {"max_pool2d",
       [] {
         max_pool2d(zeros({1, 8, 8, 3}), {.kernel = 3, .stride = 2, .padding = 2});
       },
       {"max_pool2d", "padding 2", "half"}},
      {"max_pool2d",
       [] {
         max_pool2d(zeros({1, 2, 2, 3}), {.kernel = 3, .stride = 2, .padding = 0});
       },
       {"max_pool2d", "3x3", "(1,2,2,3)"}},
      {"global_mean",
       [] {
         global_mean(zeros({2, 2048}));
       },
       {"global_mean", "(2,2048)", "(N,H,W,C)"}},
      {"linear",
       [] {
         linear(zeros({2, 512}), zeros({2, 2048}), zeros({2}));
       },
       {"linear", "(2,512)", "(2,2048)"}},
      {"linear",
       [] {
         linear(zeros({2, 8}), zeros({3, 8}), zeros({2}));
       },
       {"linear", "bias", "(2)", "(3,8)"}},
      {"dropout",
       [] {
         dropout(zeros({4, 8}), 1.0, 1, labels({4, 2}));
       },
       {"dropout", "[0, 1)", "1"}},
      {"dropout",
       [] {
         dropout(zeros({4, 8}), 0.5, 1, labels({3, 2}));
       },
       {"dropout", "row keys", "(3,2)", "(4,2)"}},
      {"dropout",
       [] {
         dropout(zeros({4, 8}), 0.5, 1, {});
       },
       {"dropout", "row keys", "(4,2)"}},
      {"softmax", [] { softmax(zeros({4}).value()); }, {"softmax", "(4)", "(N,K)"}},
      {"cross_entropy", [] { cross_entropy(zeros({4}), labels({4})); }, {"cross_entropy", "(4)", "(N,K)"}},
      {"cross_entropy",
       [] {
         cross_entropy(zeros({4, 2}), labels({3}));
       },
       {"cross_entropy", "labels", "(3)", "(4)"}},
      {"cross_entropy",
       [] {
         cross_entropy(zeros({4, 2}), zeros({4}).value());
       },
       {"cross_entropy", "labels", "f32", "i32"}},
      {"cross_entropy",
       [] {
         cross_entropy(zeros({4, 2}), labels({4}), zeros({3}).value());
       },
       {"cross_entropy", "class weights", "(3)", "(2)"}},
      {"cross_entropy",
       [] {
         cross_entropy(zeros({2, 2}), labels({2}), {}, {.label_smoothing = 1});
       },
       {"cross_entropy", "label smoothing 1", "[0,1)"}},
      {"cross_entropy",
       [] {
         cross_entropy(zeros({2, 2}), Tensor::of<int32_t>({2}, {0, 2}));
       },
       {"cross_entropy", "label 2", "row 1", "2 classes"}},
      {"cam_energy",
       [] {
         cam_energy(zeros({2, 8}), zeros({2, 8}), zeros({2, 2}).value(), labels({2}), cells({2, 3, 3}));
       },
       {"cam_energy", "features", "(2,8)", "(N,H,W,C)"}},
      {"cam_energy",
       [] {
         cam_energy(zeros({2, 3, 3, 8}), zeros({2, 7}), zeros({2, 2}).value(), labels({2}), cells({2, 3, 3}));
       },
       {"cam_energy", "weight", "(2,7)", "(K,8)"}},
      {"cam_energy",
       [] {
         cam_energy(zeros({2, 3, 3, 8}), zeros({1, 8}), zeros({2, 1}).value(), labels({2}), cells({2, 3, 3}));
       },
       {"cam_energy", "(1,8)", "two classes"}},
      {"cam_energy",
       [] {
         cam_energy(zeros({2, 3, 3, 8}), zeros({2, 8}), zeros({3, 2}).value(), labels({2}), cells({2, 3, 3}));
       },
       {"cam_energy", "logits", "(3,2)", "(2,2)"}},
      {"cam_energy",
       [] {
         cam_energy(zeros({2, 3, 3, 8}), zeros({2, 8}), zeros({2, 2}).value(), labels({3}), cells({2, 3, 3}));
       },
       {"cam_energy", "labels", "(3)", "(2)"}},
      {"cam_energy",
       [] {
         cam_energy(zeros({2, 3, 3, 8}), zeros({2, 8}), zeros({2, 2}).value(), labels({2}), zeros({2, 3, 3}).value());
       },
       {"cam_energy", "lesion", "f32", "u8 (2,3,3)"}},
      {"cam_energy",
       [] {
         cam_energy(zeros({2, 3, 3, 8}), zeros({2, 8}), zeros({2, 2}).value(), labels({2}), cells({2, 3, 3}), 0);
       },
       {"cam_energy", "strength", "0", "positive"}},
      {"cam_energy",
       [] {
         cam_energy(zeros({2, 3, 3, 8}), zeros({2, 8}), zeros({2, 2}).value(), Tensor::of<int32_t>({2}, {0, 2}), cells({2, 3, 3}));
       },
       {"cam_energy", "label 2", "row 1", "2 classes"}},
      {"cast", [] { cast(zeros({2}), DType::u8); }, {"cast", "f32", "u8"}},
      {"scale_loss", [] { scale_loss(zeros({1}), zeros({1}).value()); }, {"scale_loss", "state"}},
  };
  return all;
}

}  // namespace

TEST_CASE("a wrong shape, type or option gets a message that names the op and what was found", "[ops][messages]") {
  for (const Wrong& w : wrong_calls()) {
    std::string message;
    try {
      w.call();
    } catch (const Error& e) {
      message = e.what();
    }
    for (const std::string& part : w.says) {
      INFO(w.op << " said: " << message);
      CHECK(message.find(part) != std::string::npos);
    }
    ++counts()["message of a wrong call"].run;
  }
}

TEST_CASE("every op of the table that can be called wrongly has a message tested", "[ops][messages]") {
  std::set<std::string> tested;
  for (const Wrong& w : wrong_calls()) tested.insert(w.op);
  tested.insert("relu");  // takes anything
  for (const OpCase& c : op_cases()) {
    const std::string op = c.name.substr(0, c.name.find(' '));
    INFO(op);
    CHECK(tested.count(op) == 1);
  }
}

// Streams, events and captures of the simulated device. Work waits in its stream until somebody synchronises; then it is executed one piece
// at a time in an order that a seed picks among all that streams and events permit. So a forgotten event gives a wrong result on some seed.
#pragma once
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "engine/cuda/driver.h"

namespace dura::cuda::sim {

struct Work {
  std::string name;
  std::function<void()> run;
};

class WorkQueue {
 public:
  // Work runs between open() and close().
  WorkQueue(std::function<void()> open, std::function<void()> close) : open_(std::move(open)), close_(std::move(close)) {
    streams_.emplace_back();
  }

  void set_seed(uint64_t seed);
  uint64_t next_seed();  // for the order inside of a piece of work

  Stream create_stream();
  Event create_event();
  void push(Stream stream, Work work);
  void record(Event event, Stream stream);
  void wait(Stream stream, Event event);
  void synchronize(Stream stream);
  void synchronize(Event event);

  void begin_capture(Stream stream);
  CapturedWork end_capture(Stream stream);
  void replay(CapturedWork work, Stream stream);
  void release(CapturedWork work);
  bool capturing(Stream stream) const { return capture_ && capture_->last.count(stream.id) != 0; }
  // Throws what a card answers to a call that no capture allows, and ends the capture.
  void forbid_while_capturing(const char* call);

 private:
  struct Item {
    enum class Kind : uint8_t { work, record, wait } kind = Kind::work;
    Work work;
    int event = -1;
    uint64_t generation = 0;
  };
  struct EventState {
    uint64_t recorded = 0, done = 0;  // how many records were put in, how many have happened
    int captured_node = -1;           // of the capture that recorded it last; -1: none
    uint64_t capture = 0;
  };
  struct Node {
    std::shared_ptr<const Work> work;
    std::vector<int> after;
  };
  struct Capture {
    uint64_t number = 0;
    int origin = 0;
    bool invalid = false;
    std::vector<Node> nodes;
    std::map<int, std::vector<int>> last;  // of each stream that takes part: the nodes that its next one comes after
  };

  std::deque<Item>& queue(Stream stream);
  EventState& state(Event event);
  int add_node(Stream stream, std::shared_ptr<const Work> work);
  void drain(const std::function<bool()>& reached, const char* what);
  bool ready(const std::deque<Item>& queue) const;
  void happen(const Item& record);
  // After an error nothing that was queued runs any more, as on a card: its memory may be gone by the time that somebody waits again.
  void drop_queued();
  void run_captured(const std::vector<Node>& nodes);

  std::function<void()> open_, close_;
  std::vector<std::deque<Item>> streams_;  // [0] is the legacy stream
  std::vector<EventState> events_;
  std::unique_ptr<Capture> capture_;
  uint64_t captures_ = 0;
  std::map<int, std::shared_ptr<const std::vector<Node>>> captured_;
  uint64_t seed_ = 0, draws_ = 0;
  size_t last_stream_ = 0;
};

}  // namespace dura::cuda::sim

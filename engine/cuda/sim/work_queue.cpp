#include "engine/cuda/sim/work_queue.h"

#include <algorithm>

#include "engine/core/formula.h"

namespace dura::cuda::sim {

void WorkQueue::set_seed(uint64_t seed) { seed_ = seed, draws_ = 0; }

// Seed 0 stands for the natural order everywhere.
uint64_t WorkQueue::next_seed() { return seed_ == 0 ? 0 : formula::mix64(seed_ ^ formula::mix64(++draws_)); }

Stream WorkQueue::create_stream() {
  streams_.emplace_back();
  return {static_cast<int>(streams_.size()) - 1};
}
Event WorkQueue::create_event() {
  events_.emplace_back();
  return {static_cast<int>(events_.size()) - 1};
}

std::deque<WorkQueue::Item>& WorkQueue::queue(Stream stream) {
  if (stream.id < 0 || static_cast<size_t>(stream.id) >= streams_.size())
    throw DriverError(Status::invalid_value, concat("there is no stream ", stream.id));
  return streams_[static_cast<size_t>(stream.id)];
}
WorkQueue::EventState& WorkQueue::state(Event event) {
  if (event.id < 0 || static_cast<size_t>(event.id) >= events_.size())
    throw DriverError(Status::invalid_value, concat("there is no event ", event.id));
  return events_[static_cast<size_t>(event.id)];
}

void WorkQueue::forbid_while_capturing(const char* call) {
  if (!capture_) return;
  capture_->invalid = true;
  throw DriverError(Status::capture_unsupported, concat(call, " while a stream is capturing. Do it before the step is captured"));
}

int WorkQueue::add_node(Stream stream, std::shared_ptr<const Work> work) {
  if (capture_->invalid) throw DriverError(Status::capture_invalidated, concat(work->name, ": an earlier error ended this capture"));
  capture_->nodes.push_back({std::move(work), capture_->last[stream.id]});
  const int node = static_cast<int>(capture_->nodes.size()) - 1;
  capture_->last[stream.id] = {node};
  return node;
}

void WorkQueue::push(Stream stream, Work work) {
  queue(stream);
  if (capture_ && stream.id == legacy_stream.id) {
    capture_->invalid = true;
    throw DriverError(Status::capture_implicit, concat(work.name, " on the legacy stream, which would wait for the capturing one"));
  }
  if (capturing(stream)) {
    add_node(stream, std::make_shared<const Work>(std::move(work)));
    return;
  }
  // The legacy stream waits for all others, and all others wait for it: the simple reading is to run them in this order now.
  if (stream.id == legacy_stream.id) {
    drain([&] { return std::all_of(streams_.begin(), streams_.end(), [](const auto& q) { return q.empty(); }); }, "the legacy stream");
    queue(stream).push_back({.kind = Item::Kind::work, .work = std::move(work)});
    drain([&] { return queue(stream).empty(); }, "the legacy stream");
    return;
  }
  queue(stream).push_back({.kind = Item::Kind::work, .work = std::move(work)});
}

void WorkQueue::record(Event event, Stream stream) {
  queue(stream);
  EventState& e = state(event);
  if (capturing(stream)) {
    // An event is a node without work: what waits for it comes after all that the stream has done.
    e.captured_node = add_node(stream, std::make_shared<const Work>(Work{"event", [] {}}));
    e.capture = capture_->number;
    return;
  }
  e.captured_node = -1;
  queue(stream).push_back({.kind = Item::Kind::record, .work = {}, .event = event.id, .generation = ++e.recorded});
}

void WorkQueue::wait(Stream stream, Event event) {
  queue(stream);
  EventState& e = state(event);
  const bool of_this_capture = capture_ && e.captured_node >= 0 && e.capture == capture_->number;
  if (of_this_capture) {
    capture_->last[stream.id].push_back(e.captured_node);  // joins the stream to the capture
    return;
  }
  if (capturing(stream)) {
    capture_->invalid = true;
    throw DriverError(Status::capture_isolation, "a capturing stream waits for an event that was recorded outside of the capture");
  }
  if (e.captured_node >= 0) throw DriverError(Status::captured_event, "a stream waits for an event of a capture that has ended");
  if (e.recorded == 0) return;  // as on a card: nothing to wait for
  queue(stream).push_back({.kind = Item::Kind::wait, .work = {}, .event = event.id, .generation = e.recorded});
}

void WorkQueue::synchronize(Stream stream) {
  queue(stream);
  if (capturing(stream)) forbid_while_capturing("synchronising with the stream");
  drain([&] { return queue(stream).empty(); }, "a stream");
}

void WorkQueue::synchronize(Event event) {
  const EventState& e = state(event);
  if (e.captured_node >= 0) throw DriverError(Status::captured_event, "the host waits for an event that was recorded in a capture");
  const uint64_t generation = e.recorded;
  drain([&] { return state(event).done >= generation; }, "an event");
}

bool WorkQueue::ready(const std::deque<Item>& q) const {
  if (q.empty()) return false;
  const Item& first = q.front();
  return first.kind != Item::Kind::wait || events_[static_cast<size_t>(first.event)].done >= first.generation;
}

void WorkQueue::drain(const std::function<bool()>& reached, const char* what) {
  if (reached()) return;
  struct Open {
    const WorkQueue& q;
    explicit Open(const WorkQueue& queue) : q(queue) { q.open_(); }
    ~Open() { q.close_(); }
  };
  const Open open(*this);
  while (!reached()) {
    std::vector<size_t> candidates;
    for (size_t i = 0; i < streams_.size(); ++i)
      if (ready(streams_[i])) candidates.push_back(i);
    if (candidates.empty())
      throw DriverError(Status::launch_failure, concat("waiting for ", what, " that waits for an event that nobody records"));
    // Some seeds change the stream after every piece, some let one run far ahead.
    const uint64_t draw = next_seed();
    const bool stay = draw == 0 || (draw >> 32) % 4 < seed_ % 4;
    const bool possible = std::find(candidates.begin(), candidates.end(), last_stream_) != candidates.end();
    last_stream_ = stay && possible ? last_stream_ : candidates[draw % candidates.size()];
    Item item = std::move(streams_[last_stream_].front());
    streams_[last_stream_].pop_front();
    if (item.kind == Item::Kind::record) happen(item);
    if (item.kind != Item::Kind::work) continue;
    try {
      item.work.run();
    } catch (...) {
      drop_queued();
      throw;
    }
  }
}

void WorkQueue::happen(const Item& record) {
  EventState& e = events_[static_cast<size_t>(record.event)];
  e.done = std::max(e.done, record.generation);
}

void WorkQueue::drop_queued() {
  for (std::deque<Item>& q : streams_) {
    for (const Item& item : q)
      if (item.kind == Item::Kind::record) happen(item);
    q.clear();
  }
}

void WorkQueue::begin_capture(Stream stream) {
  queue(stream);
  if (stream.id == legacy_stream.id) throw DriverError(Status::capture_unsupported, "the legacy stream cannot capture");
  if (capture_) throw DriverError(Status::capture_unmatched, "a capture begins inside of another");
  capture_ = std::make_unique<Capture>();
  capture_->number = ++captures_;
  capture_->origin = stream.id;
  capture_->last[stream.id] = {};
}

CapturedWork WorkQueue::end_capture(Stream stream) {
  if (!capture_ || capture_->origin != stream.id)
    throw DriverError(Status::capture_unmatched, "a capture ends that did not begin on this stream");
  const std::unique_ptr<Capture> capture = std::move(capture_);
  if (capture->invalid) throw DriverError(Status::capture_invalidated, "an earlier error ended this capture");
  // Everything must come before the end of the origin stream.
  std::vector<bool> before(capture->nodes.size(), false);
  std::vector<int> open = capture->last[stream.id];
  while (!open.empty()) {
    const auto node = static_cast<size_t>(open.back());
    open.pop_back();
    if (before[node]) continue;
    before[node] = true;
    open.insert(open.end(), capture->nodes[node].after.begin(), capture->nodes[node].after.end());
  }
  for (size_t i = 0; i < before.size(); ++i)
    if (!before[i])
      throw DriverError(Status::capture_unjoined,
                        concat("the capture ends, but its stream never waited for ", capture->nodes[i].work->name, " of another stream"));
  const int id = static_cast<int>(capture->number);
  captured_[id] = std::make_shared<const std::vector<Node>>(std::move(capture->nodes));
  return {id};
}

void WorkQueue::replay(CapturedWork work, Stream stream) {
  const auto found = captured_.find(work.id);
  if (found == captured_.end()) throw DriverError(Status::invalid_value, concat("there is no captured work ", work.id));
  if (capturing(stream)) forbid_while_capturing("replay");
  push(stream, {"replay of captured work", [this, nodes = found->second] { run_captured(*nodes); }});
}

void WorkQueue::release(CapturedWork work) { captured_.erase(work.id); }

// Nodes in any order that keeps each behind those it comes after.
void WorkQueue::run_captured(const std::vector<Node>& nodes) {
  std::vector<size_t> missing(nodes.size());
  std::vector<std::vector<size_t>> followers(nodes.size());
  std::vector<size_t> candidates;
  for (size_t i = 0; i < nodes.size(); ++i) {
    missing[i] = nodes[i].after.size();
    for (int a : nodes[i].after) followers[static_cast<size_t>(a)].push_back(i);
    if (missing[i] == 0) candidates.push_back(i);
  }
  while (!candidates.empty()) {
    const size_t pick = next_seed() % candidates.size();
    const size_t node = candidates[pick];
    candidates.erase(candidates.begin() + static_cast<std::ptrdiff_t>(pick));
    nodes[node].work->run();
    for (size_t f : followers[node])
      if (--missing[f] == 0) candidates.push_back(f);
  }
}

}  // namespace dura::cuda::sim

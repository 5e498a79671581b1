// Errors of CUDA's runtime as exceptions: OutOfMemory where memory was full, else DriverError with the runtime's own number and words.
#pragma once
#include <cuda_runtime_api.h>

#include <string>

namespace dura::cuda {

// What was put into a stream last; kernels' errors come late.
extern const char* queued_last;

void check(cudaError_t error, const std::string& what);

// The card that this process computes on: one of those it sees, by its number among the processes of the machine.
int card_number();
// Makes it the card of the calling thread; CUDA's own first choice for every thread is number 0.
void use_card();

// Work that broke the card makes cuDNN fail next, which would read as "no engine can do that": asked before and after plans are made.
void check_alive(const std::string& before);

}  // namespace dura::cuda

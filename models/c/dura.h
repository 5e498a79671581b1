/* dura.h: classify and explain pictures with a trained model, from any language that can call C. C99.
 *
 *   cc program.c $(pkg-config --cflags --libs dura)          libdura.so needs the C and C++ runtime, nothing else
 *
 *   dura_call* call = dura_call_new();
 *   dura_model* model = dura_open_file(call, "model.safetensors", NULL);
 *   dura_picture slice = {.size = sizeof slice, .file = "slice.png"};
 *   if (model && dura_predict(call, model, &slice, 1) == DURA_OK)
 *     puts(dura_class_name(model, dura_predicted(call, 0)));
 *   else
 *     fprintf(stderr, "%s\n", dura_message(call));
 *   dura_close(model);
 *   dura_call_free(call);
 *
 * HANDLES. A dura_model holds the weights. A dura_call holds what the last function that was given it has to say: status, message, answers,
 * map and overlay. The same call may be used for one function after another, with any models; it then keeps its memory.
 *
 * THREADS. Any number of threads may use one model at the same time, each with a call of its own: they share the weights, and each takes
 * memory for a computation of its own, which the model keeps for the next (ResNet-50 at 224x224: some 10 MB for each call that runs at the
 * same time). A call is for one thread at a time. Answers do not depend on the number of threads, bit for bit. On a GPU one computation
 * waits for the other. A model must not be closed while a thread uses it.
 * The arithmetic of all models runs on the threads of one pool, made with the first model (dura_options.threads); they take no signals.
 * After fork() a child must not use what its parent opened.
 *
 * OWNERSHIP. What is passed in belongs to the caller, and is not needed after the function has returned. What a function returns belongs to
 * the handle: strings of a model live until dura_close; messages, answers, maps and overlays until the next function that is given the
 * call, or dura_call_free. Nothing is to be freed but by dura_close and dura_call_free.
 *
 * ERRORS. Functions that can fail return a dura_status, or NULL where they make something; the call has the status and a sentence that says
 * what was found, what was expected and what to do. A call after a failure has no answers, and call and model can be used again. A lack of
 * memory is such an error, too. No function prints, ends the process, changes signal handlers or the locale, or lets a C++ exception out.
 * NULL for a handle is an error, never a crash; so is NULL where a text or an array is needed. DURA_THREADS and DURA_CPU are read from the
 * environment, as the programs do (docs/programs.md); with "cuda" those that SECURITY.md names, too.
 *
 * STRUCTS begin with their size, which the caller sets to sizeof: later versions may add members at the end. Zero in every other member is
 * the default. A larger struct than the library's is accepted where what it does not know is zero.
 *
 * Texts are UTF-8; paths are bytes, as the system takes them. */
#ifndef DURA_H
#define DURA_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define DURA_API __attribute__((visibility("default")))
#else
#define DURA_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The library's version, "0.1.0". Static. */
DURA_API const char* dura_version(void);

/* ---- status and calls ---- */

typedef int32_t dura_status;
enum {
  DURA_OK = 0,
  DURA_ERROR_USAGE = 1,   /* a NULL handle, a struct's size, an unknown name, an impossible number: the program is to be mended */
  DURA_ERROR_FILE = 2,    /* a file cannot be opened or read */
  DURA_ERROR_MODEL = 3,   /* not a model that dura wrote, or damaged */
  DURA_ERROR_PICTURE = 4, /* not a PNG or JPEG, damaged, or too large: at most 8192 a side and 40 Mi pixels */
  DURA_ERROR_MEMORY = 5,  /* not enough memory */
  DURA_ERROR_DEVICE = 6,  /* the device is not there, or not in this build */
  DURA_ERROR_INTERNAL = 7 /* the computation failed; the message says how */
};

typedef struct dura_call dura_call;
typedef struct dura_model dura_model;

/* NULL only where memory is lacking. */
DURA_API dura_call* dura_call_new(void);
/* NULL is allowed. */
DURA_API void dura_call_free(dura_call* call);
/* Of the last function that was given this call; DURA_OK before the first, DURA_ERROR_USAGE for NULL. */
DURA_API dura_status dura_call_status(const dura_call* call);
/* A sentence, at most some 4000 bytes; "" where the status is DURA_OK. Never NULL. */
DURA_API const char* dura_message(const dura_call* call);

/* ---- models ---- */

typedef struct dura_options {
  size_t size;           /* sizeof(dura_options) */
  const char* device;    /* "cpu" (NULL, too); "cuda" where the library was built with CUDA and there is a card */
  const char* precision; /* what is computed in: "f32" (NULL, too), "bf16", "f16" */
  int32_t threads;       /* of the process' one pool, the calling thread included: 1 to 1024; 0: as it is, at first as many as there are
                          * processors. While a model is open, another number than that of the pool is an error. */
  int32_t batch;         /* pictures computed at a time by dura_predict: 1 (0, too) to 4096. Fewer are filled up. */
} dura_options;

/* Opens a model that dura-train or dura-convert wrote; `options` may be NULL. NULL: the call says why. */
DURA_API dura_model* dura_open_file(dura_call* call, const char* path, const dura_options* options);
/* The same of a model file's bytes. They are copied: they may be given back afterwards. */
DURA_API dura_model* dura_open_memory(dura_call* call, const void* bytes, size_t size, const dura_options* options);
/* Gives all of its memory back. NULL is allowed. */
DURA_API void dura_close(dura_model* model);

/* 0 for NULL. */
DURA_API size_t dura_class_count(const dura_model* model);
/* NULL for NULL and for a number that is not below dura_class_count. */
DURA_API const char* dura_class_name(const dura_model* model, size_t number);

/* ---- pictures ---- */

/* A picture in one of three forms; the other two are NULL. The model file says how it is prepared (noise, contrast, size). */
typedef struct dura_picture {
  size_t size;           /* sizeof(dura_picture) */
  const char* file;      /* the path of a PNG or JPEG */
  const void* encoded;   /* the bytes of a PNG or JPEG ... */
  size_t encoded_size;   /* ... and their number */
  const uint8_t* pixels; /* 8 bits per channel, the channels of a pixel side by side: the first pixel of the upper row */
  ptrdiff_t stride;      /* bytes from a row to the one below; negative where rows lie upside down; 0: width * channels */
  int32_t width, height; /* pixels */
  int32_t channels;      /* 1: gray; 3: red, green, blue */
  int32_t reserved;      /* 0 */
} dura_picture;

/* Answers for `count` pictures, in their order; all of the array have the same `size`. One that cannot be read fails the whole: the message
 * names it. Numbers are those of dura-predict, bit for bit. */
DURA_API dura_status dura_predict(dura_call* call, dura_model* model, const dura_picture* pictures, size_t count);

/* What the last dura_predict or dura_explain answered: how many pictures; 0 after a failure. */
DURA_API size_t dura_answer_count(const dura_call* call);
/* The number of the most probable class; -1 where there is no such answer. */
DURA_API int32_t dura_predicted(const dura_call* call, size_t picture);
/* The probabilities of all classes, dura_class_count numbers; NULL where there is no such answer. */
DURA_API const double* dura_probabilities(const dura_call* call, size_t picture);

/* ---- where the network looked ---- */

enum {
  DURA_OVERLAY_PICTURE = 0, /* the picture with the map's colours blended in; alpha is 255 */
  DURA_OVERLAY_LAYER = 1,   /* the map's colours alone, to be laid over the picture by a viewer; alpha is the opacity */
  DURA_OVERLAY_NONE = 2
};

typedef struct dura_explain_options {
  size_t size;                /* sizeof(dura_explain_options) */
  const char* method;         /* "gradcam" (NULL, too), "gradcam++", "hirescam", "layercam" */
  const char* stage;          /* of the network: "layer4" (NULL, too), "layer3", "layer2", "layer1", "stem" */
  const char* class_name;     /* the class whose evidence is shown; NULL: the predicted one */
  double opacity;             /* of the map's colours, above 0 and up to 1; 0: one half */
  int32_t overlay;            /* DURA_OVERLAY_... */
  int32_t by_receptive_field; /* 1: cells of the map lie where they look, instead of in equal shares of the picture */
} dura_explain_options;

/* An answer for one picture, as dura_predict gives it up to rounding, with its map and overlay. `options` may be NULL. */
DURA_API dura_status dura_explain(dura_call* call, dura_model* model, const dura_picture* picture, const dura_explain_options* options);

/* The class that the last dura_explain explained; -1 where there is none. */
DURA_API int32_t dura_explained(const dura_call* call);
/* Raw values >= 0, rows from the top, as coarse as the stage: width * height numbers, whose extents are written where the pointers are not
 * NULL. All zero: nothing speaks for the class. NULL where the last function was no dura_explain. */
DURA_API const float* dura_map(const dura_call* call, int32_t* width, int32_t* height);
/* Red, green, blue, alpha of each pixel, in the picture's own extents, without gaps: 4 * width * height bytes. Where nothing speaks for the
 * class there is no colour: the picture as it is, or a layer with alpha 0. NULL where the last function was no dura_explain, or with
 * DURA_OVERLAY_NONE. */
DURA_API const uint8_t* dura_overlay(const dura_call* call, int32_t* width, int32_t* height);

#ifdef __cplusplus
}
#endif
#endif

/* Opens a trained model, says what each picture shows, and draws where the network looked: map1.pam, map2.pam, ...
 *   usage: predict MODEL PICTURE...
 *   build: cc predict.c -o predict $(pkg-config --cflags --libs dura) */
#include <dura.h>
#include <stdio.h>

/* PAM is the simplest format with an alpha channel; most viewers read it. */
static int write_map(const char* file, const uint8_t* rgba, int width, int height) {
  FILE* out = fopen(file, "wb");
  if (!out) return 0;
  fprintf(out, "P7\nWIDTH %d\nHEIGHT %d\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n", width, height);
  const size_t pixels = (size_t)width * (size_t)height, written = fwrite(rgba, 4, pixels, out);
  return fclose(out) == 0 && written == pixels;
}

int main(int argc, char** argv) {
  dura_call* call = dura_call_new(); /* what the last function said: one for each thread */
  dura_model* model = call ? dura_open_file(call, argc > 1 ? argv[1] : "model.safetensors", NULL) : NULL;
  int failed = !model;
  for (int i = 2; i < argc && !failed; ++i) {
    const dura_picture picture = {.size = sizeof picture, .file = argv[i]};
    if (dura_explain(call, model, &picture, NULL) != DURA_OK) { /* dura_predict where no map is wanted */
      failed = 1;
      break;
    }
    const int32_t best = dura_predicted(call, 0);
    printf("%s %s %.2f\n", argv[i], dura_class_name(model, (size_t)best), dura_probabilities(call, 0)[best]);
    char name[32];
    snprintf(name, sizeof name, "map%d.pam", i - 1);
    int32_t width, height;
    const uint8_t* rgba = dura_overlay(call, &width, &height);
    if (!write_map(name, rgba, width, height)) {
      fprintf(stderr, "%s could not be written\n", name);
      failed = 1;
    }
  }
  if (dura_call_status(call) != DURA_OK) fprintf(stderr, "%s\n", dura_message(call));
  dura_close(model);
  dura_call_free(call);
  return failed;
}

// SPDX-License-Identifier: Apache-2.0
#if defined(__linux__)
// For the processors that this process may use.
#define _GNU_SOURCE
#endif
#include "thaw_heif_decoders.h"

#if THAW_HAS_HEIF && THAW_HAS_HEIF_DECODERS
#include <dav1d/dav1d.h>
#include <libde265/de265.h>
// Decoders are named since libheif 1.15; dav1d 1.0 counts its threads otherwise than earlier ones.
#if LIBHEIF_NUMERIC_VERSION >= 0x010F0000 && DAV1D_API_VERSION_MAJOR >= 6
#define THAW_DECODES_HEIF 1
#endif
#endif

#if THAW_DECODES_HEIF
#include <libheif/heif_plugin.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "thaw_dispatch.h"
#include "thaw_heif_planes.h"

// What the container says of the colours. Each has decoders of its own, as nothing else reaches them from
// outside, whatever thread they run in.
enum { SAYS_NOTHING, BT601_FULL, BT601_VIDEO, BT709_FULL, BT709_VIDEO, BT2020_FULL, BT2020_VIDEO, MEANINGS };

// Compressed images beyond this many bytes are worth threads within a picture: rows of blocks of an HEVC picture
// mostly do not wait for each other's ends, an AV1 picture has few parts that are apart.
enum { HEVC_WORTH_THREADS = 16 * 1024, AV1_WORTH_THREADS = 128 * 1024 };

typedef struct {
  de265_decoder_context *hevc;
  uint8_t *bytes;
  size_t count;
  int meaning;
} picture_decoder;

static const struct heif_error fine = {heif_error_Ok, heif_suberror_Unspecified, "Success"};
// Whoever asked decodes it with the library's own decoder, which says what is wrong.
static const struct heif_error refused = {heif_error_Decoder_plugin_error, heif_suberror_Unspecified,
                                          "not decoded here"};

static atomic_int active;

int thaw_heif_begin(void) {
  if (atomic_fetch_add(&active, 1) > 0) return 0;
  cpu_set_t processors;
  if (sched_getaffinity(0, sizeof processors, &processors) != 0) return 0;
  int count = CPU_COUNT(&processors);
  return count < 2 ? 0 : count > 4 ? 4 : count;
}

void thaw_heif_end(void) { atomic_fetch_sub(&active, 1); }

static bool coefficients(int matrix, thaw_heif_matrix *colours) {
  switch (matrix) {
    case 1: colours->red = 0.2126f, colours->blue = 0.0722f; return true;
    case 9: colours->red = 0.2627f, colours->blue = 0.0593f; return true;
    case 2:
    case 5:
    case 6: colours->red = 0.299f, colours->blue = 0.114f; return true;
    default: return false;
  }
}

// The container's word comes before the stream's.
static bool matrix_for(int meaning, int matrix, bool full, thaw_heif_matrix *colours) {
  static const int codes[MEANINGS] = {0, 6, 6, 1, 1, 9, 9};
  if (meaning != SAYS_NOTHING) matrix = codes[meaning], full = meaning % 2 == 1;
  colours->full_range = full;
  colours->is_default = matrix == 2;
  return coefficients(matrix, colours);
}

static struct heif_error make(void **decoder, int meaning, bool is_hevc) {
  picture_decoder *made = calloc(1, sizeof *made);
  *decoder = made;
  if (made == NULL) return refused;
  made->meaning = meaning;
  if (!is_hevc) return fine;
  made->hevc = de265_new_decoder();
  if (made->hevc != NULL) return fine;
  free(made);
  *decoder = NULL;
  return refused;
}

static void free_decoder(void *decoder) {
  picture_decoder *mine = decoder;
  if (mine == NULL) return;
  if (mine->hevc != NULL) de265_free_decoder(mine->hevc);
  free(mine->bytes);
  free(mine);
}

static struct heif_error push(void *decoder, const void *data, size_t count) {
  picture_decoder *mine = decoder;
  if (count == 0 || mine->count > SIZE_MAX / 2 - count) return refused;
  uint8_t *bytes = realloc(mine->bytes, mine->count + count);
  if (bytes == NULL) return refused;
  memcpy(bytes + mine->count, data, count);
  mine->bytes = bytes;
  mine->count += count;
  return fine;
}

// An image of red, green and blue planes, all zero pointers when there is none.
typedef struct {
  struct heif_image *image;
  uint8_t *planes[3];
  size_t strides[3];
} colour_image;

static bool make_image(int width, int height, colour_image *made) {
  static const enum heif_channel channels[3] = {heif_channel_R, heif_channel_G, heif_channel_B};
  *made = (colour_image){.image = NULL};
  if (heif_image_create(width, height, heif_colorspace_RGB, heif_chroma_444, &made->image).code !=
      heif_error_Ok) {
    return false;
  }
  for (int k = 0; k < 3; k++) {
    int stride = 0;
    if (heif_image_add_plane(made->image, channels[k], width, height, 8).code == heif_error_Ok) {
      made->planes[k] = heif_image_get_plane(made->image, channels[k], &stride);
    }
    if (made->planes[k] == NULL || stride < width) {
      heif_image_release(made->image);
      return false;
    }
    made->strides[k] = (size_t)stride;
  }
  return true;
}

static bool make_grey(const thaw_heif_plane *luma, struct heif_image **image) {
  if (heif_image_create(luma->width, luma->height, heif_colorspace_monochrome, heif_chroma_monochrome,
                        image).code != heif_error_Ok) {
    return false;
  }
  int stride = 0;
  uint8_t *target = NULL;
  if (heif_image_add_plane(*image, heif_channel_Y, luma->width, luma->height, 8).code == heif_error_Ok) {
    target = heif_image_get_plane(*image, heif_channel_Y, &stride);
  }
  if (target == NULL || stride < luma->width) {
    heif_image_release(*image);
    return false;
  }
  for (int y = 0; y < luma->height; y++) {
    memcpy(target + (size_t)y * (size_t)stride, luma->bytes + (size_t)y * luma->stride, (size_t)luma->width);
  }
  return true;
}

// MARK: HEVC

static bool hevc_plane(const struct de265_image *picture, int channel, thaw_heif_plane *plane) {
  int stride = 0;
  plane->bytes = de265_get_image_plane(picture, channel, &stride);
  plane->width = de265_get_image_width(picture, channel);
  plane->height = de265_get_image_height(picture, channel);
  plane->bits = de265_get_bits_per_pixel(picture, channel);
  plane->stride = (size_t)stride;
  return plane->bytes != NULL && plane->bits == 8 && plane->width > 0 && plane->height > 0 &&
         stride >= plane->width;
}

static struct heif_error hevc_colours(const struct de265_image *picture, int meaning,
                                      struct heif_image **image) {
  thaw_heif_plane luma, blue, red;
  if (!hevc_plane(picture, 0, &luma)) return refused;
  if (de265_get_chroma_format(picture) == de265_chroma_mono) return make_grey(&luma, image) ? fine : refused;
  thaw_heif_matrix matrix;
  colour_image made;
  if (!hevc_plane(picture, 1, &blue) || !hevc_plane(picture, 2, &red) ||
      !thaw_heif_is_colour(&blue, luma.width, luma.height) || blue.width != red.width ||
      blue.height != red.height ||
      !matrix_for(meaning, de265_get_image_matrix_coefficients(picture),
                  de265_get_image_full_range_flag(picture) != 0, &matrix) ||
      !make_image(luma.width, luma.height, &made)) {
    return refused;
  }
  bool done = thaw_heif_convert_repeated(&luma, &blue, &red, &matrix, made.planes, made.strides);
  if (!done) heif_image_release(made.image);
  *image = done ? made.image : NULL;
  return done ? fine : refused;
}

static bool push_units(picture_decoder *mine) {
  size_t at = 0;
  while (at < mine->count) {
    if (mine->count - at < 4) return false;
    const uint8_t *size = mine->bytes + at;
    size_t unit = (size_t)size[0] << 24 | (size_t)size[1] << 16 | (size_t)size[2] << 8 | size[3];
    at += 4;
    if (unit > mine->count - at || unit > INT32_MAX) return false;
    if (de265_push_NAL(mine->hevc, mine->bytes + at, (int)unit, 0, NULL) != DE265_OK) return false;
    at += unit;
  }
  return de265_flush_data(mine->hevc) == DE265_OK;
}

static struct heif_error decode_hevc(void *decoder, struct heif_image **image) {
  picture_decoder *mine = decoder;
  *image = NULL;
  if (mine->count > HEVC_WORTH_THREADS && atomic_load(&active) == 1) {
    de265_start_worker_threads(mine->hevc, 2);
  }
  if (!push_units(mine)) return refused;
  const struct de265_image *picture = NULL;
  int more = 1;
  while (picture == NULL && more != 0) {
    more = 0;
    if (de265_decode(mine->hevc, &more) != DE265_OK) return refused;
    picture = de265_get_next_picture(mine->hevc);
  }
  if (picture == NULL || de265_get_warning(mine->hevc) != DE265_OK) return refused;
  return hevc_colours(picture, mine->meaning, image);
}

// MARK: AV1

// The planes of a picture; `middle` stands for the differences of one without, a row of the width.
static bool av1_planes(const Dav1dPicture *picture, const uint8_t *middle, thaw_heif_plane planes[3]) {
  enum Dav1dPixelLayout layout = picture->p.layout;
  bool across = layout != DAV1D_PIXEL_LAYOUT_I444, down = layout == DAV1D_PIXEL_LAYOUT_I420;
  int width = picture->p.w, height = picture->p.h, bits = picture->p.bpc;
  ptrdiff_t bytes = bits > 8 ? 2 : 1;
  planes[0] = (thaw_heif_plane){picture->data[0], (size_t)picture->stride[0], width, height, bits};
  if (bits < 8 || bits > 12 || picture->stride[0] < width * bytes) return false;
  if (layout == DAV1D_PIXEL_LAYOUT_I400) {
    planes[1] = planes[2] = (thaw_heif_plane){middle, 0, width, height, 8};
    return true;
  }
  int columns = across ? (width + 1) / 2 : width, rows = down ? (height + 1) / 2 : height;
  for (int k = 1; k < 3; k++) {
    planes[k] = (thaw_heif_plane){picture->data[k], (size_t)picture->stride[1], columns, rows, bits};
  }
  return picture->stride[1] >= columns * bytes;
}

static bool av1_rows(const thaw_heif_plane planes[3], const thaw_heif_matrix *matrix, colour_image *made) {
  thaw_heif_converter converter;
  if (!thaw_heif_converter_planes(&converter, &planes[0], &planes[1], &planes[2], matrix)) return false;
  for (size_t y = 0; y < (size_t)planes[0].height; y++) {
    thaw_heif_convert_planes(&converter, (uint32_t)y, made->planes[0] + y * made->strides[0],
                             made->planes[1] + y * made->strides[1], made->planes[2] + y * made->strides[2]);
  }
  thaw_heif_converter_close(&converter);
  return true;
}

static struct heif_error av1_colours(const Dav1dPicture *picture, int meaning, struct heif_image **image) {
  thaw_heif_plane planes[3];
  thaw_heif_matrix matrix;
  colour_image made;
  if (picture->p.w <= 0 || picture->p.h <= 0) return refused;
  uint8_t *middle = malloc((size_t)picture->p.w);
  if (middle == NULL) return refused;
  memset(middle, 128, (size_t)picture->p.w);
  struct heif_error result = refused;
  if (av1_planes(picture, middle, planes) &&
      matrix_for(meaning, picture->seq_hdr->mtrx, picture->seq_hdr->color_range != 0, &matrix) &&
      make_image(picture->p.w, picture->p.h, &made)) {
    if (av1_rows(planes, &matrix, &made)) {
      *image = made.image;
      result = fine;
    } else {
      heif_image_release(made.image);
    }
  }
  free(middle);
  return result;
}

static void keep(const uint8_t *bytes, void *context) { (void)bytes, (void)context; }

// The first picture of the bytes; 0 when there is one.
static int first_picture(Dav1dContext *context, const picture_decoder *mine, Dav1dPicture *picture) {
  Dav1dData data;
  int status = dav1d_data_wrap(&data, mine->bytes, mine->count, keep, NULL);
  while (status == 0 && data.sz > 0) {
    status = dav1d_send_data(context, &data);
    if (status != 0 && status != DAV1D_ERR(EAGAIN)) break;
    status = dav1d_get_picture(context, picture);
    if (status == 0) break;
    if (status == DAV1D_ERR(EAGAIN)) status = 0;
  }
  if (status == 0 && picture->data[0] == NULL) status = dav1d_get_picture(context, picture);
  dav1d_data_unref(&data);
  return status;
}

static struct heif_error decode_av1(void *decoder, struct heif_image **image) {
  const picture_decoder *mine = decoder;
  *image = NULL;
  if (mine->count == 0) return refused;
  Dav1dSettings settings;
  dav1d_default_settings(&settings);
  settings.n_threads = mine->count > AV1_WORTH_THREADS && atomic_load(&active) == 1 ? 2 : 1;
  settings.max_frame_delay = 1;
  settings.all_layers = 0;
  settings.frame_size_limit = 1u << 31;
  settings.logger.callback = NULL;
  Dav1dContext *context = NULL;
  if (dav1d_open(&context, &settings) != 0) return refused;
  Dav1dPicture picture;
  memset(&picture, 0, sizeof picture);
  struct heif_error result = refused;
  if (first_picture(context, mine, &picture) == 0) {
    result = av1_colours(&picture, mine->meaning, image);
    dav1d_picture_unref(&picture);
  }
  dav1d_close(&context);
  return result;
}

// MARK: as libheif wants it

static int low_priority_hevc(enum heif_compression_format format) { return format == heif_compression_HEVC; }
static int low_priority_av1(enum heif_compression_format format) { return format == heif_compression_AV1; }
static const char *plugin_name(void) { return "Thaw"; }
static void set_strict(void *decoder, int flag) { (void)decoder, (void)flag; }

#define MEANING(n)                                                                                 \
  static struct heif_error new_hevc_##n(void **decoder) { return make(decoder, n, true); }         \
  static struct heif_error new_av1_##n(void **decoder) { return make(decoder, n, false); }
MEANING(0) MEANING(1) MEANING(2) MEANING(3) MEANING(4) MEANING(5) MEANING(6)

#define PLUGIN(format, n)                                                                          \
  {3, plugin_name, NULL, NULL, low_priority_##format, new_##format##_##n, free_decoder, push,      \
   decode_##format, set_strict, "thaw-" #format "-" #n}
#define PLUGINS(format)                                                                            \
  {PLUGIN(format, 0), PLUGIN(format, 1), PLUGIN(format, 2), PLUGIN(format, 3), PLUGIN(format, 4),  \
   PLUGIN(format, 5), PLUGIN(format, 6)}
static const struct heif_decoder_plugin hevc_plugins[MEANINGS] = PLUGINS(hevc);
static const struct heif_decoder_plugin av1_plugins[MEANINGS] = PLUGINS(av1);

static bool is_registered;

static void register_all(void) {
  // The identity of a decoder came with the third version of plugins.
  if (heif_get_version_number() < 0x010F0000) return;
  for (int k = 0; k < MEANINGS; k++) {
    if (heif_register_decoder_plugin(&hevc_plugins[k]).code != heif_error_Ok ||
        heif_register_decoder_plugin(&av1_plugins[k]).code != heif_error_Ok) {
      return;
    }
  }
  is_registered = true;
}

// What the container says; negative when it says something that is left to the library.
static int meaning_of(const struct heif_image_handle *handle) {
  struct heif_color_profile_nclx *profile = NULL;
  struct heif_error error = heif_image_handle_get_nclx_color_profile(handle, &profile);
  int meaning = -1;
  if (error.code != heif_error_Ok || profile == NULL) {
    // One with values that it does not know is handed out beside the error.
    meaning = profile == NULL ? SAYS_NOTHING : -1;
  } else {
    thaw_heif_matrix matrix;
    int code = (int)profile->matrix_coefficients;
    int video = profile->full_range_flag != 0 ? 0 : 1;
    if (coefficients(code, &matrix)) {
      meaning = (code == 1 ? BT709_FULL : code == 9 ? BT2020_FULL : BT601_FULL) + video;
    }
  }
  heif_nclx_color_profile_free(profile);
  return meaning;
}

bool thaw_heif_choose(const struct heif_image_handle *handle, bool is_avif,
                      struct heif_decoding_options *decoding) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, register_all);
  int meaning = meaning_of(handle);
  bool is_plain = !heif_image_handle_has_alpha_channel(handle) &&
                  heif_image_handle_get_luma_bits_per_pixel(handle) == 8;
  if (!is_registered || meaning < 0 || !(is_avif || is_plain)) return false;
  decoding->decoder_id = (is_avif ? av1_plugins : hevc_plugins)[meaning].id_name;
  return true;
}

void thaw_heif_choose_library(struct heif_decoding_options *decoding) { decoding->decoder_id = NULL; }

#elif THAW_HAS_HEIF

bool thaw_heif_choose(const struct heif_image_handle *handle, bool is_avif,
                      struct heif_decoding_options *decoding) {
  (void)handle, (void)is_avif, (void)decoding;
  return false;
}

void thaw_heif_choose_library(struct heif_decoding_options *decoding) { (void)decoding; }

// As the library does unasked.
int thaw_heif_begin(void) { return 4; }
void thaw_heif_end(void) {}

#else
// An empty file is no C.
typedef int thaw_heif_without_decoders;
#endif

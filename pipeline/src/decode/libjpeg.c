/* libjpeg's own interface, which unlike TurboJPEG's reports every warning, and where the data end.
 *
 * Errors leave by longjmp and never cross a frame of Rust. If a decoder would have to invent data, that is an error; the
 * other warnings are bits, in the order of `Oddity`.
 */
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

enum oddity { EXTRANEOUS_BYTES, ADOBE_TRANSFORM, JFIF_VERSION, SCAN_PARAMETERS, SCAN_ORDER, RESTART_NUMBER, NO_END };

/* The reasons why a file is not decoded. */
enum reason { DAMAGED = 1, UNSUPPORTED = 2, OUT_OF_MEMORY = 3 };

struct amdim_jpeg {
  struct jpeg_decompress_struct info;
  struct jpeg_error_mgr errors;
  struct jpeg_source_mgr source;
  struct jpeg_progress_mgr progress;
  jmp_buf exit;
  /* The reason for which `exit` was taken. */
  enum reason reason;
  const unsigned char *bytes;
  /* Width, height and components of the header, for which the caller has room. */
  unsigned facts[3];
  /* The number of bytes read for the pixels, up to eight more than needed. */
  size_t length;
  int max_scans;
  /* Whether a restart marker is searched for after the next marker. */
  int is_searching;
  /* Whether all pixels have been read. */
  int is_finishing;
  unsigned oddities;
  char message[JMSG_LENGTH_MAX];
};

static struct amdim_jpeg *self(j_common_ptr info) { return (struct amdim_jpeg *)info->client_data; }

static void leave(j_common_ptr info, enum reason reason, const char *message) {
  struct amdim_jpeg *jpeg = self(info);
  snprintf(jpeg->message, sizeof jpeg->message, "%s", message);
  jpeg->reason = reason;
  longjmp(jpeg->exit, 1);
}

static void fail(j_common_ptr info, const char *message) { leave(info, DAMAGED, message); }

static void error_exit(j_common_ptr info) {
  char message[JMSG_LENGTH_MAX];
  enum reason reason = DAMAGED;
  switch (info->err->msg_code) {
  case JERR_IMAGE_TOO_BIG:
  case JERR_SOF_UNSUPPORTED:
  case JERR_BAD_PRECISION:
  case JERR_COMPONENT_COUNT:
  case JERR_CONVERSION_NOTIMPL:
  case JERR_FRACT_SAMPLE_NOTIMPL:
  case JERR_NOTIMPL: reason = UNSUPPORTED; break;
  case JERR_OUT_OF_MEMORY:
  case JERR_NO_BACKING_STORE: reason = OUT_OF_MEMORY; break;
  default: break;
  }
  info->err->format_message(info, message);
  leave(info, reason, message);
}

static void output_message(j_common_ptr info) { (void)info; }

static void note(j_common_ptr info, enum oddity oddity) { self(info)->oddities |= 1u << oddity; }

/* Returns whether a scan refines bits of a coefficient that were never sent. The coefficient need not be the scan's. */
static int lacks_bits(j_decompress_ptr info, int component, int coefficient) {
  int bits = info->coef_bits[component][coefficient];
  return coefficient >= info->Ss && info->Ah != 0 && (bits < 0 || info->Ah < bits);
}

static void warn(j_common_ptr info) {
  j_decompress_ptr decompress = (j_decompress_ptr)info;
  const int *parameters = info->err->msg_parm.i;
  switch (info->err->msg_code) {
  case JWRN_EXTRANEOUS_DATA:
    if (self(info)->is_searching)
      fail(info, "data are lost at a restart marker");
    note(info, EXTRANEOUS_BYTES);
    break;
  case JWRN_ADOBE_XFORM: note(info, ADOBE_TRANSFORM); break;
  case JWRN_JFIF_MAJOR: note(info, JFIF_VERSION); break;
  case JWRN_NOT_SEQUENTIAL: note(info, SCAN_PARAMETERS); break;
  case JWRN_BOGUS_PROGRESSION:
    if (lacks_bits(decompress, parameters[0], parameters[1]))
      fail(info, "a scan refines what is missing");
    note(info, SCAN_ORDER);
    break;
  case JWRN_MUST_RESYNC: note(info, RESTART_NUMBER); break;
  default: error_exit(info);
  }
}

static void emit_message(j_common_ptr info, int level) {
  if (level < 0) {
    warn(info);
  } else if (info->err->msg_code == JTRC_RECOVERY_ACTION) {
    /* 1 accepts the marker as the right one, 2 goes on to the next, 3 gives up a part. */
    int action = info->err->msg_parm.i[1];
    if (action == 3)
      fail(info, "data are missing at a restart marker");
    self(info)->is_searching = action == 2;
  }
}

static void init_source(j_decompress_ptr info) { (void)info; }

static boolean fill_input_buffer(j_decompress_ptr info) {
  static const unsigned char end[] = { 0xFF, JPEG_EOI };
  if (!self((j_common_ptr)info)->is_finishing)
    fail((j_common_ptr)info, "it is cut short");
  note((j_common_ptr)info, NO_END);
  info->src->next_input_byte = end;
  info->src->bytes_in_buffer = sizeof end;
  return TRUE;
}

static void skip_input_data(j_decompress_ptr info, long count) {
  size_t left = info->src->bytes_in_buffer, skipped = count > 0 ? (size_t)count : 0;
  skipped = skipped < left ? skipped : left;
  info->src->next_input_byte += skipped;
  info->src->bytes_in_buffer -= skipped;
}

static void count_scans(j_common_ptr info) {
  if (((j_decompress_ptr)info)->input_scan_number > self(info)->max_scans)
    leave(info, UNSUPPORTED, "it has too many scans");
}

/* Refuses a component without data in any scan, which libjpeg would make gray. */
static void check_components(j_decompress_ptr info) {
  int seen = 0;
  for (int i = 0; i < info->num_components; i++) {
    seen += info->comp_info[i].quant_table != NULL;
    if (info->coef_bits && info->coef_bits[i][0] < 0)
      fail((j_common_ptr)info, "a component has no data");
  }
  if (seen != 0 && seen != info->num_components) /* lossless files have no such tables */
    fail((j_common_ptr)info, "a component has no data");
}

/* The caller has room for the pixels of the header. */
static void check_size(j_decompress_ptr info) {
  const unsigned *facts = self((j_common_ptr)info)->facts;
  if (info->output_width != facts[0] || info->output_height != facts[1] ||
      (unsigned)info->output_components != facts[2])
    fail((j_common_ptr)info, "its pixels are not those that its header tells of");
}

struct amdim_jpeg *amdim_jpeg_new(const unsigned char *bytes, size_t length, int max_scans) {
  struct amdim_jpeg *jpeg = calloc(1, sizeof *jpeg);
  if (!jpeg)
    return NULL;
  jpeg->bytes = bytes;
  jpeg->max_scans = max_scans;
  jpeg->source.next_input_byte = bytes;
  jpeg->source.bytes_in_buffer = length;
  jpeg->source.init_source = init_source;
  jpeg->source.fill_input_buffer = fill_input_buffer;
  jpeg->source.skip_input_data = skip_input_data;
  jpeg->source.resync_to_restart = jpeg_resync_to_restart;
  jpeg->source.term_source = init_source;
  jpeg->progress.progress_monitor = count_scans;
  jpeg->info.err = jpeg_std_error(&jpeg->errors);
  jpeg->errors.error_exit = error_exit;
  jpeg->errors.emit_message = emit_message;
  jpeg->errors.output_message = output_message;
  jpeg->info.client_data = jpeg;
  return jpeg;
}

void amdim_jpeg_free(struct amdim_jpeg *jpeg) {
  jpeg_destroy_decompress(&jpeg->info);
  free(jpeg);
}

const char *amdim_jpeg_message(const struct amdim_jpeg *jpeg) { return jpeg->message; }

unsigned amdim_jpeg_oddities(const struct amdim_jpeg *jpeg) { return jpeg->oddities; }

/* Returns the number of bytes read for the pixels. */
size_t amdim_jpeg_length(const struct amdim_jpeg *jpeg) { return jpeg->length; }

/* Writes width, height and the number of components; returns 0, or a reason. */
int amdim_jpeg_header(struct amdim_jpeg *jpeg, unsigned facts[3]) {
  j_decompress_ptr info = &jpeg->info;
  if (setjmp(jpeg->exit))
    return (int)jpeg->reason;
  jpeg_create_decompress(info);
  info->src = &jpeg->source;
  info->progress = &jpeg->progress;
  while (jpeg_read_header(info, FALSE) == JPEG_HEADER_TABLES_ONLY)
    ;
  if (info->data_precision != 8)
    leave((j_common_ptr)info, UNSUPPORTED, "its samples have more or fewer than 8 bits");
  if (info->num_components != 1 && info->num_components != 3 && info->num_components != 4)
    leave((j_common_ptr)info, UNSUPPORTED, "it has neither one, three nor four components");
  if (info->num_components == 3)
    info->out_color_space = JCS_EXT_RGB;
  jpeg->facts[0] = info->image_width;
  jpeg->facts[1] = info->image_height;
  jpeg->facts[2] = (unsigned)info->num_components;
  memcpy(facts, jpeg->facts, sizeof jpeg->facts);
  return 0;
}

/* Writes the pixels, one byte for each component; returns 0, or a reason. To be called once, after the header. */
int amdim_jpeg_pixels(struct amdim_jpeg *jpeg, unsigned char *pixels) {
  j_decompress_ptr info = &jpeg->info;
  size_t stride = (size_t)jpeg->facts[0] * (size_t)jpeg->facts[2];
  if (setjmp(jpeg->exit))
    return (int)jpeg->reason;
  jpeg_start_decompress(info);
  check_size(info);
  while (info->output_scanline < info->output_height) {
    JSAMPROW row = pixels + stride * info->output_scanline;
    jpeg_read_scanlines(info, &row, 1);
  }
  check_components(info);
  jpeg->length = (size_t)(info->src->next_input_byte - jpeg->bytes);
  jpeg->is_finishing = 1;
  jpeg_finish_decompress(info);
  return 0;
}

/* SPDX-License-Identifier: MPL-2.0 */
/* progress.c - a bar on the terminal's last line: part done, rate, time left.
 * One write per drawing, so that it does not flicker. */
#include "client/progress.h"

#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define BAR_WIDTH 30
#define BAR_WIDTH_MIN 5
#define FIGURES_WIDTH 40 /* brackets, per cent, rate and time left */
#define QUIET_SECONDS 0.5
#define DRAW_SECONDS 0.1

static double monotonic_seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void progress_begin(struct progress *progress, const struct options *options, const char *label,
                    uint64_t total)
{
    memset(progress, 0, sizeof *progress);
    progress->label = label;
    progress->total = total;
    progress->shown = !options->quiet && isatty(STDERR_FILENO) == 1;
    progress->begun = monotonic_seconds();
}

static void format_left(char *out, size_t out_size, double seconds)
{
    const unsigned long whole = (unsigned long)(seconds + 0.5);

    if (whole < 3600)
        (void)snprintf(out, out_size, "%lu:%02lu left", whole / 60, whole % 60);
    else
        (void)snprintf(out, out_size, "%lu:%02lu h left", whole / 3600, whole / 60 % 60);
}

/* A line that is wider than the terminal could not be drawn over. */
static size_t bar_width(const char *label)
{
    struct winsize size;
    size_t room;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return BAR_WIDTH;
    room = strlen(label) + FIGURES_WIDTH + BAR_WIDTH_MIN;
    if (size.ws_col <= room)
        return BAR_WIDTH_MIN;
    room = size.ws_col - room + BAR_WIDTH_MIN;
    return room < BAR_WIDTH ? room : BAR_WIDTH;
}

static void draw(const struct progress *progress, uint64_t done, double elapsed)
{
    const double speed = (double)done / elapsed;
    const double rate = progress->rows == 0 ? speed : (double)progress->rows / elapsed;
    const size_t width = bar_width(progress->label);
    char bar[BAR_WIDTH + 1];
    char left[40] = "";

    if (progress->total == 0) {
        fprintf(stderr, "\r%s %" PRIu64 "  %.0f/s\033[K", progress->label, done, rate);
        return;
    }
    if (done > progress->total)
        done = progress->total;
    const double part = (double)done / (double)progress->total;
    memset(bar, '.', width);
    memset(bar, '#', (size_t)(part * (double)width));
    bar[width] = '\0';
    if (speed > 0)
        format_left(left, sizeof left, (double)(progress->total - done) / speed);
    fprintf(stderr, "\r%s [%s] %3.0f %%  %.0f/s  %s\033[K", progress->label, bar, part * 100,
            rate, left);
}

void progress_update(struct progress *progress, uint64_t done)
{
    double now;

    if (!progress->shown)
        return;
    now = monotonic_seconds();
    if (now - progress->begun < QUIET_SECONDS || now - progress->drawn_at < DRAW_SECONDS)
        return;
    draw(progress, done, now - progress->begun);
    progress->drawn = true;
    progress->drawn_at = now;
}

void progress_update_rows(struct progress *progress, uint64_t done, uint64_t rows)
{
    progress->rows = rows;
    progress_update(progress, done);
}

void progress_hide(struct progress *progress)
{
    if (progress->drawn)
        fputs("\r\033[K", stderr);
    progress->drawn = false;
}

void progress_end(struct progress *progress)
{
    progress_hide(progress);
    progress->shown = false;
}

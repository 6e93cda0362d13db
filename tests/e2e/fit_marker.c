/* SPDX-License-Identifier: MPL-2.0 */
/* fit_marker DIR: makes the run marker of a copied directory fit, as it does in the copy of a
 * whole disk, so that the daemon takes it for the one that ran last. */
#include <stdio.h>

#include "daemon/io/store.h"

int main(int argc, char **argv)
{
    struct store *store = NULL;
    enum status status = USAGE;

    if (argc == 2 && (status = store_open(argv[1], STORE_SIZE_DEFAULT, &store)) == OK)
        status = store_marker_renew(store, argv[1]);
    store_close(&store);
    if (status != OK)
        (void)fprintf(stderr, "fit_marker: %s\n", status_text(status));
    return status == OK ? 0 : 1;
}

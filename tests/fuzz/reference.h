/* reference - jansson as the second opinion on JSON. Two of its names are also names of shared/base/json.h, so it is
 * kept out of sight of that header. */
#ifndef TAI_TESTS_FUZZ_REFERENCE_H
#define TAI_TESTS_FUZZ_REFERENCE_H

#define json_string jansson_make_string
#define json_null jansson_make_null
#include <jansson.h>
#undef json_string
#undef json_null

#endif

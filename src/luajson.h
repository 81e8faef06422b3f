/* luajson: values of Lua as JSON and back. The one place that says how the two correspond.
 *
 * A table whose keys are 1..n is an array, any other an object with text keys; an empty table is an
 * array if it was decoded from one or made by json.array{}, else an object. Whole numbers stay
 * whole. Functions, cycles and tables with mixed keys have no JSON form: an error. */
#ifndef SPAK_LUAJSON_H
#define SPAK_LUAJSON_H

#include "json.h"
#include <lua.h>

/* Pushes the value. */
void luajson_push(lua_State *L, const json_t *value);
/* The value at `index`; NULL if and only if e is set, with the path of the culprit
 * ("kernels[2].launch is a function"). */
json_t *luajson_to(lua_State *L, int index, struct err *e);
/* Pushes the table with encode, decode, pretty and array. Errors in them are Lua errors. */
void luajson_open(lua_State *L);

#endif

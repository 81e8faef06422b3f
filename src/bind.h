/* bind: every C function that lua/ can call, thin: policy is Lua's, mechanism the lower modules'.
 * The files of bind share these; script calls only bind_open (script_state.h). */
#ifndef SPAK_BIND_H
#define SPAK_BIND_H

#include "script_state.h"

/* Metatables in the registry: what node{} returns, what dir(), traced() and metrics() return, what
 * tool{} returns. */
#define BIND_NODE "spak.node"
#define BIND_PATH "spak.path"
#define BIND_TOOL "spak.tool"

/* The argument as text without NUL bytes; an error of the caller's otherwise. */
const char *bind_text(lua_State *L, int index, const char *what);
/* True when the table at `index` has this metatable. */
bool bind_is(lua_State *L, int index, const char *metatable);
/* Fills the functions of each file into the table on top. */
void bind_open_node(lua_State *L);
void bind_open_read(lua_State *L);

#endif

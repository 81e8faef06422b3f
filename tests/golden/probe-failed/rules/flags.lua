return {
  name = "flags",
  doc = "The flags of a library, in a file.",
  shape = { [1] = { type = "path", required = true, doc = "the file" } },
  make = function(arg)
    return node { arg[1], write = probe { "false", "--cflags" } }
  end,
}

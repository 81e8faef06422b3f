-- Paths as text: nothing here looks at the disk.
local path = {}

-- "a", "b/c" -> "a/b/c"; an absolute part starts again, empty parts and "." count for nothing.
function path.join(...)
  local out = ""
  for _, part in ipairs { ... } do
    part = tostring(part)
    if part:sub(1, 1) == "/" then
      out = part
    elseif part ~= "" and part ~= "." then
      out = (out == "" or out:sub(-1) == "/") and out .. part or out .. "/" .. part
    end
  end
  return out == "" and "." or out
end

-- "a/b.c" -> "b.c"
function path.base(p)
  return (tostring(p):match "([^/]*)/*$")
end

-- "a/b.c" -> "a"; "b.c" -> "."
function path.dir(p)
  return tostring(p):match "^(.*[^/])/+[^/]*/*$" or (tostring(p):sub(1, 1) == "/" and "/" or ".")
end

-- "a/b.tar.gz" -> ".gz"; "" without one
function path.ext(p)
  return path.base(p):match "^.+(%.[^.]*)$" or ""
end

-- "a/b.c" -> "b"
function path.stem(p)
  local base = path.base(p)
  return base:match "^(.+)%.[^.]*$" or base
end

return path

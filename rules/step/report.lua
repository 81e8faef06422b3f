-- The study on one page: as Markdown for reading, as a plain table for a terminal.
local samples = include "samples.lua"

local function number(x)
  if x >= 100 then
    return ("%.0f"):format(x)
  end
  return x >= 10 and ("%.1f"):format(x) or ("%.2f"):format(x)
end

local function interval(i, unit)
  if not i then
    return "UNMEASURED"
  end
  return ("%s [%s, %s]%s"):format(number(i.median), number(i.lo), number(i.hi), unit or "")
end

local function counted(n, word)
  return ("%d %s%s"):format(n, word, n == 1 and "" or "s")
end

local function killed(proof)
  local n = 0
  for _, m in ipairs(proof.mutants) do
    n = n + (m.killed and 1 or 0)
  end
  return n
end

local function invariant_rows(proofs)
  local rows = { { "invariant", "state", "strength", "cases", "mutants killed" } }
  for _, p in ipairs(proofs) do
    rows[#rows + 1] = {
      p.name, p.status, p.rung, tostring((p.cases.exhaustive or 0) + (p.cases.random or 0)),
      ("%d/%d"):format(killed(p), #p.mutants),
    }
  end
  return rows
end

local function kernel_state(shape, name)
  local k = shape.kernels[name]
  return k and k.status or "UNMEASURED"
end

local function variant_rows(study, bench)
  local rows = { { "shape", "kernel", "threads", "GFLOP/s [95 %]" } }
  for _, base in ipairs(study.baselines) do
    table.insert(rows[1], "over " .. base)
  end
  for _, shape in ipairs(bench.shapes) do
    for _, kernel in ipairs(study.kernels) do
      local g, state = samples.gflops(bench, shape.name, kernel.name), kernel_state(shape, kernel.name)
      local row = { shape.name, kernel.name, tostring(kernel.threads), g and interval(g) or state }
      for _, base in ipairs(study.baselines) do
        local s = kernel.name ~= base and samples.speedup(bench, shape.name, kernel.name, base)
        row[#row + 1] = s and interval(s, " x") or "-"
      end
      if state ~= "UNMEASURED" then -- the study leaves it out on this shape
        rows[#rows + 1] = row
      end
    end
  end
  return rows
end

local function hypothesis_rows(verdict)
  local rows = { { "hypothesis", "predicted", "measured", "state" } }
  for _, h in ipairs(verdict.hypotheses) do
    rows[#rows + 1] = { h.name, h.predicts, interval(h.measured), h.state:upper() }
  end
  return rows
end

local function plain(rows)
  local width, lines = {}, {}
  for _, row in ipairs(rows) do
    for c, cell in ipairs(row) do
      width[c] = math.max(width[c] or 0, utf8.len(cell) or #cell)
    end
  end
  for _, row in ipairs(rows) do
    local cells = {}
    for c, cell in ipairs(row) do
      cells[c] = cell .. (c < #row and (" "):rep(width[c] - (utf8.len(cell) or #cell)) or "")
    end
    lines[#lines + 1] = "  " .. table.concat(cells, "  ")
  end
  return table.concat(lines, "\n")
end

local function markdown(rows)
  local lines = {}
  for r, row in ipairs(rows) do
    lines[#lines + 1] = "| " .. table.concat(row, " | ") .. " |"
    if r == 1 then
      lines[#lines + 1] = "|" .. (" --- |"):rep(#row)
    end
  end
  return table.concat(lines, "\n")
end

local function rejected(checks)
  local lines = {}
  for _, check in ipairs(checks) do
    for name, k in pairs(check.kernels) do
      for _, fault in ipairs(k.faults) do
        local at = fault.buffer and (", %s[%d]"):format(fault.buffer, fault.index) or ""
        local detail = fault.detail and ": " .. fault.detail or ""
        lines[#lines + 1] = ("%s REJECTED: %s on %s, %s data%s%s"):format(name, fault.status, fault.shape, fault.fill, at, detail)
      end
    end
  end
  table.sort(lines)
  return lines
end

local function roofline(bench)
  if bench.device then
    return ("Multiply-add roofline of the device: %.0f GFLOP/s"):format(bench.peak_gflops_1)
  end
  local one = ("Multiply-add roofline: %.0f GFLOP/s on one thread"):format(bench.peak_gflops_1)
  return bench.threads == 1 and one or ("%s, %.0f on %s"):format(one, bench.peak_gflops_n, counted(bench.threads, "thread"))
end

return function(step)
  local study, bench, verdict = step.json "study", step.json "bench", step.json "verdict"
  local proofs, checks = step.json_all "proof", step.json_all "check"
  table.sort(proofs, function(a, b) return a.name < b.name end)
  local noise = "Noise floor, from two copies of `" .. (bench.control or "?") .. "`: " .. interval(verdict.noise, " x")
  local peak = roofline(bench)
  local sections = {
    { "Invariants", invariant_rows(proofs) },
    { "Variants", variant_rows(study, bench) },
    { "Hypotheses", hypothesis_rows(verdict) },
  }
  local md, txt = { "# " .. study.title .. "\n" }, { study.title .. "\n" }
  for _, s in ipairs(sections) do
    md[#md + 1] = ("## %s\n\n%s\n"):format(s[1], markdown(s[2]))
    txt[#txt + 1] = s[1] .. "\n" .. plain(s[2]) .. "\n"
  end
  local notes = rejected(checks)
  notes[#notes + 1] = noise
  notes[#notes + 1] = peak
  md[#md + 1] = table.concat(notes, "\n\n")
  txt[#txt + 1] = "  " .. table.concat(notes, "\n  ")
  step.write("markdown", table.concat(md, "\n") .. "\n")
  step.write("text", table.concat(txt, "\n") .. "\n")
end

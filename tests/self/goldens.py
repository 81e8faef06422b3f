"""Every code of the protocol has a golden: a refusal word for word, or where none can be had at will its explanation.

usage: goldens.py codes.def EXPECTED...
"""
import re
import sys

codes = re.findall(r"^CODE\((P\d+),", open(sys.argv[1]).read(), re.M)
said = "\n".join(open(path).read() for path in sys.argv[2:])
missing = [code for code in codes if not re.search(r"^error\[%s\]|^%s " % (code, code), said, re.M)]
for code in missing:
    print("no golden under tests/golden says %s" % code)
if not codes:
    print("there are no codes")
print("%d codes" % len(codes))
sys.exit(bool(missing) or not codes)

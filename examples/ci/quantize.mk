# Makes GGUF files of a model, each when the model's weights have changed. Include it in a Makefile:
#
#     MODEL := path/to/model
#     FORMATS := Q8_0 Q4_K_M
#     include quantize.mk
#
# and run `make gguf`. All formats come from one read of the model.

MODEL ?= model
FORMATS ?= Q4_K_M
GGUF_DIR ?= gguf
QUANTIZE ?= quantize

_comma := ,
_space := $(subst ,, )
_name := $(notdir $(patsubst %/,%,$(MODEL)))
_ggufs := $(FORMATS:%=$(GGUF_DIR)/$(_name)-%.gguf)

.PHONY: gguf gguf-check
gguf: $(_ggufs) ## Quantize the model

gguf-check: gguf ## Compare the files with the checksums in their report
	jq -r '.reports[].files[] | .sha256 + "  " + .path' $(GGUF_DIR)/report.json | sha256sum --check

# One run writes all of them. The report stands for the run, because older versions of make do not know `&:`.
$(_ggufs): $(GGUF_DIR)/report.json
	@test -f $@ || { rm -f $<; $(MAKE) --no-print-directory -f $(firstword $(MAKEFILE_LIST)) $<; }

$(GGUF_DIR)/report.json: $(wildcard $(MODEL)/*.safetensors $(MODEL)/*.json)
	mkdir -p $(GGUF_DIR)
	$(QUANTIZE) $(MODEL) --format $(subst $(_space),$(_comma),$(strip $(FORMATS))) --output $(GGUF_DIR)/ --report $@ --force

# Everything is done by dev.py:  make test  is  python3 dev.py test,  make demo ARGS="--help"  hands arguments on.
TASKS = demo test peers bench notebooks docs lint types stubs wheel

.PHONY: $(TASKS)
$(TASKS):
	@python3 dev.py $@ $(ARGS)

"""Networks that learn tasks: backbones, the multi-task model of surrogates and victims, small fresh networks."""

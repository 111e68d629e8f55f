"""Networks: backbones, surrogates and victims, and the generator."""

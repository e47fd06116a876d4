"""Low-rank adaptation of Vision Transformers.

``lora``          the layer, and the verbs that add, merge and remove it;
``vit``           backbones by name, what each method trains, parameter counts;
``backbones``     the small ViT that ships with its weights;
``position``      a trainable update of the position embedding;
``budget``        what a method trains, and what rank an adapter uses;
``adapter_file``  what was trained, as a small file;
``interchange``   adapters of other projects;
``tensors``       safetensors files: read, checked, written, no code run.
"""

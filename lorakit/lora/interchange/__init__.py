"""Adapters of other projects: Hugging Face PEFT's, and the files of LoRA-ViT and MeLo."""

from lorakit.lora.interchange.lora_vit import import_lora_vit
from lorakit.lora.interchange.peft import export_peft, import_peft

__all__ = ["export_peft", "import_lora_vit", "import_peft"]

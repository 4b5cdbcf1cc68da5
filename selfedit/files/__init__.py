"""Files written whole or not at all, journals of unfinished work, and what is stored as JSON and safetensors."""

namespace AIGA_ISA {}

"""The page: what lives in the runs of a folder, live. It reads them; docs/page.md says how it is built."""

"""What tests share: networks, hostile files, a server of files, the laboratory served."""

host=${PKG_ROOTDIR:-}
host=${host%/}
for sample in @SAMPLES@; do
    settings=$host${sample%.sample}
    if cmp -s "$host$sample" "$settings"; then
        rm -f "$settings"
    fi
done

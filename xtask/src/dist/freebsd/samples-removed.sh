for sample in @SAMPLES@; do
    settings=${PKG_ROOTDIR:-}${sample%.sample}
    if cmp -s "${PKG_ROOTDIR:-}$sample" "$settings"; then
        rm -f "$settings"
    fi
done

for sample in @SAMPLES@; do
    settings=${PKG_ROOTDIR:-}${sample%.sample}
    if [ ! -e "$settings" ]; then
        cp -p "${PKG_ROOTDIR:-}$sample" "$settings"
    fi
done

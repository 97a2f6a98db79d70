package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"strings"
	"sync"
)

//go:embed assets
var assetFiles embed.FS

type asset struct {
	kind string
	data []byte
}

// assets are the files that pages load, by the names under which they load them. A name changes with its file, so browsers may keep both.
var assets = sync.OnceValue(func() map[string]asset {
	found := make(map[string]asset)
	for name, kind := range map[string]string{
		"console.css": "text/css; charset=utf-8", "console.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml",
	} {
		data, err := assetFiles.ReadFile("assets/" + name)
		if err != nil {
			panic(err) // it is embedded
		}
		sum := sha256.Sum256(data)
		end := path.Ext(name)
		found[strings.TrimSuffix(name, end)+"-"+hex.EncodeToString(sum[:6])+end] = asset{kind, data}
	}
	return found
})

// assetName returns the name under which a file is loaded.
func assetName(name string) string {
	end := path.Ext(name)
	for hashed := range assets() {
		if strings.HasPrefix(hashed, strings.TrimSuffix(name, end)+"-") && path.Ext(hashed) == end {
			return hashed
		}
	}
	return name
}

// serveAsset answers a request for a file; false: it is for a page.
func serveAsset(w http.ResponseWriter, r *http.Request, name string) bool {
	found, ok := assets()[name]
	if !ok || allowed(r, false) != nil {
		return false
	}
	w.Header().Set("Content-Type", found.kind)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	if r.Method != http.MethodHead {
		_, _ = w.Write(found.data)
	}
	return true
}

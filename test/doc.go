// Package test holds the tests that need real servers (integration, cluster and fault tests, a package each) and the helper
// packages that they share: servers starts them, proxy stands between them and a client, journal and overlap record and check
// who owned what, wait waits. Nothing here is part of a shipped binary; the one test in this package checks the imports.
package test

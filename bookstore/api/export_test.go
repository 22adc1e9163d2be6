package api

// Routes are all that the API serves for the shop, each as a method and a path.
func Routes() (routes []string) {
	for path, m := range New(Options{}).routes() {
		for method := range m {
			routes = append(routes, method+" "+path+"/")
		}
	}
	return routes
}

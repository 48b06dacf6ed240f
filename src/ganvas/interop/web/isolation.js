// Service worker that lets the page use threads: browsers share memory only under two headers, which static servers do
// not send. It forwards each request to the server, adds the headers to the response, and caches nothing.

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => event.respondWith(answer(event.request)));

async function answer(request) {
  const response = await fetch(request);
  if (response.type === "opaque" || !response.ok) return response;
  // Unregister if another page is served at this address later.
  if (request.mode === "navigate" && !(await response.clone().text()).includes('content="ganvas web"')) {
    await self.registration.unregister();
    return response;
  }
  const headers = new Headers(response.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}

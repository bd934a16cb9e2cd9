"use strict";

// Requests go to where this page came from, also where the server is known by several names:
// the page's policy allows no other, and a browser would ask for CORS.
const home = new URL("./", document.baseURI).href.replace(/\/$/, "");

fetch("v1/openapi.json")
  .then((response) => response.json())
  .then((spec) => {
    spec.servers = [{ url: home }];
    SwaggerUIBundle({
      spec,
      dom_id: "#reference",
      deepLinking: true,
      displayRequestDuration: true,
      filter: true,
      validatorUrl: null,
    });
  })
  .catch((error) => {
    document.getElementById("reference").textContent = `The API's document did not load: ${error}`;
  });

"""Side by side: Obereg and a plain firmware on umqtt.robust, over the same bad links to the same broker and desk."""
